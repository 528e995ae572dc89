"""What an experiment finds: trials, courses of training, comparisons, and the scoreboard that holds them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from data_contracts.model import Checkpoint, GateVerdict
from data_contracts.record import Estimate, Finite, FrozenModel, Ref, VersionedRecord
from data_contracts.task import Option
from data_contracts.training_recipe import AttributionSource


class ValidationScores(VersionedRecord):
    """What one student shows: on the same-bias validation cases (what may be chosen by), and on the test (what may not).

    ``task`` is the AUC or the mean Dice, ``agreement`` the mean cosine of its class maps with the teacher's, ``response`` the mean cosine of
    how its logits change when parts of the image are hidden with how the teacher's do (looked at where choices are made by it), ``gap`` the
    mean absolute difference of teacher's and student's margin (logits); ``oracle`` is the experiment's primary figure.
    """

    SCHEMA: ClassVar[str] = "validation_scores/2"
    arm: str
    seed: int
    task: Finite
    agreement: Finite
    gap: Finite
    oracle: Finite
    response: Finite | None = None
    seconds: Finite = 0.0


class Snapshot(FrozenModel):
    """A student after some epochs."""

    epoch: int = Field(ge=1)
    weights: Ref
    scores: ValidationScores


class CheckpointSeries(VersionedRecord):
    """One long training, its student kept at several epochs."""

    SCHEMA: ClassVar[str] = "checkpoint_series/2"
    last: Checkpoint
    snapshots: tuple[Snapshot, ...] = Field(min_length=1)

    def at(self, epoch: int) -> Checkpoint:
        """Return the student after ``epoch`` epochs, which must be one of the points; its training time is its share of the whole."""
        # One and only one: an epoch that was not kept has no weights to go on with.
        (point,) = [p for p in self.snapshots if p.epoch == epoch]
        changes = {
            "weights": point.weights,
            "weights_digest": point.weights.sha256,
            "epochs": epoch,
            "train_seconds": self.last.train_seconds * epoch / self.last.epochs,
            "cost": None,  # it is that of the whole training
        }
        return self.last.model_copy(update=changes)


class GapFineTuningRound(FrozenModel):
    """A round of gap-weighted fine-tuning: its student and what it shows."""

    round: int = Field(ge=0)
    checkpoint: Checkpoint
    scores: ValidationScores


class GapFineTuningRun(VersionedRecord):
    """Rounds of one seed, the first before any; ``stopped`` says why no more were made, ``chosen`` is the round to keep."""

    SCHEMA: ClassVar[str] = "gap_fine_tuning/2"
    rounds: tuple[GapFineTuningRound, ...] = Field(min_length=1)
    weighted: bool
    stopped: str
    chosen: int = Field(ge=0)


class PairedDifference(FrozenModel):
    """``a`` minus ``b`` in one figure, paired; ``p_holm`` is corrected over all arms compared with the same ``b`` by the same figure."""

    a: str
    b: str
    metric: str
    difference: Finite
    low: Finite
    high: Finite
    p: Finite
    p_holm: Finite
    n: int = Field(ge=1)
    seeds: int = Field(ge=1)


class ArmFigures(VersionedRecord):
    """Figures of one arm and its differences from others (``p_holm`` not yet corrected)."""

    SCHEMA: ClassVar[str] = "arm_figures/2"
    arm: str
    figures: dict[str, Estimate]
    differences: tuple[PairedDifference, ...] = ()


class Configuration(FrozenModel):
    """One configuration that was tried: its options and the means over the search seeds."""

    options: dict[str, Option]
    task: Finite
    agreement: Finite
    response: Finite | None = None
    oracle: Finite
    seconds: Finite


class Search(FrozenModel):
    """What was tried for an arm, what ``by`` chose on the same-bias validation cases, and what else could have been chosen."""

    by: str
    configurations: tuple[Configuration, ...] = Field(min_length=1)
    chosen: int = Field(ge=0)
    by_task: int = Field(ge=0)
    oracle: int = Field(ge=0)


class CurvePoint(FrozenModel):
    """Means over seeds after some epochs, as in :class:`ValidationScores`."""

    epoch: int = Field(ge=1)
    task: Finite
    agreement: Finite
    response: Finite | None = None
    oracle: Finite


class EpochSelection(FrozenModel):
    """An arm's learning curve, the epoch chosen on the same-bias validation cases, and the epoch an oracle would have chosen."""

    by: str
    epoch: int = Field(ge=1)
    oracle_epoch: int = Field(ge=1)
    curve: tuple[CurvePoint, ...]


class ControlVerdict(FrozenModel):
    """An arm against the same arm with explanations that are not the teacher's, by the primary figure.

    ``gain`` is the control's own difference from plain soft labels. ``helps_as_much`` unless the interval of ``difference`` is above zero.
    """

    arm: str
    control: AttributionSource
    difference: PairedDifference
    gain: PairedDifference
    helps_as_much: bool


class GapSummary(FrozenModel):
    """Rounds of gap-weighted fine-tuning, and the same further epochs without weights."""

    weighted: tuple[GapFineTuningRun, ...]
    plain: tuple[GapFineTuningRun, ...]


class Scoreboard(VersionedRecord):
    """Everything an experiment found. Names of arms: ``arm``, ``arm@plateau``, ``arm@condition``, ``arm__control``."""

    SCHEMA: ClassVar[str] = "scoreboard/2"
    name: str
    description: str = ""
    primary: str
    baselines: tuple[str, str]
    seeds: tuple[int, ...]
    epochs: int
    arms: dict[str, dict[str, Estimate]]
    comparisons: tuple[PairedDifference, ...]
    harmful: tuple[str, ...]
    searched: dict[str, Search] = Field(default_factory=dict)
    epoch_selections: dict[str, EpochSelection] = Field(default_factory=dict)
    controls: tuple[ControlVerdict, ...] = ()
    nulls: tuple[PairedDifference, ...] = ()
    null_flags: tuple[str, ...] = ()
    gates: dict[str, GateVerdict] = Field(default_factory=dict)
    conditions: dict[str, str] = Field(default_factory=dict)
    gap: GapSummary | None = None
    pareto: str | None = None
    interval: str = "arms: 95 % percentile bootstrap, seeds then patients; differences: paired, t over seeds crossed with patients"
