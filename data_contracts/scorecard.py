"""Scorecards: what a model was measured to do, with n and interval, and the table a run ends with."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from data_contracts.record import Estimate, FrozenModel, Ref, Sha256, VersionedRecord


class Scorecard(VersionedRecord):
    """Measures of one model (or of one arm over its seeds). Figures carry n, interval and missing count."""

    SCHEMA: ClassVar[str] = "scorecard/1"
    subject: str
    role: str
    cohort_digest: str
    weights_digests: tuple[Sha256, ...]
    seeds: tuple[int, ...]
    figures: dict[str, Estimate]
    per_seed: dict[str, tuple[float | None, ...]] = Field(default_factory=dict)
    interval: str = "95 % percentile bootstrap over patients, 1000 resamples"
    parameters: int = 0
    latency_ms: float | None = None
    train_seconds: float | None = None

    def without(self, *names: str) -> Scorecard:
        """Return the card without some figures (``NAME`` and what begins with ``NAME_``)."""

        def kept(figure: str) -> bool:
            # With the underscore: `dice` takes dice_liver with it, and `auc` leaves auprc alone.
            return not any(figure == name or figure.startswith(f"{name}_") for name in names)

        figures = {name: figure for name, figure in self.figures.items() if kept(name)}
        per_seed = {name: values for name, values in self.per_seed.items() if kept(name)}
        return self.model_copy(update={"figures": figures, "per_seed": per_seed})


class Evaluation(VersionedRecord):
    """Per-case results of one trained network: what scorecards are bootstrapped from.

    ``arrays`` holds float64 tensors named ``subset/quantity``, one value per case of that subset's cohort, in cohort order.
    """

    SCHEMA: ClassVar[str] = "evaluation/1"
    arm: str
    role: str
    seed: int
    weights_digest: Sha256
    parameters: int
    latency_ms: float = Field(json_schema_extra={"measured": True})
    train_seconds: float = Field(json_schema_extra={"measured": True})
    arrays: Ref


class Comparison(VersionedRecord):
    """Two arms compared case by case: each figure is ``arm`` minus ``baseline``, paired; ``interval`` says how intervals were made."""

    SCHEMA: ClassVar[str] = "comparison/1"
    arm: str
    baseline: str
    figures: dict[str, Estimate]
    interval: str = "95 % percentile bootstrap of paired differences, 1000 resamples, seeds then patients"


class Subgroup(FrozenModel):
    """The cases with one value of a column: patients, cases, and the metrics that are defined among them."""

    n: int = Field(ge=1)
    cases: int = Field(ge=1)
    metrics: dict[str, Estimate]


class ReportModel(FrozenModel):
    """A model that took part: registered name, version and digest, and its parameter count."""

    role: Literal["teacher", "student"]
    name: str
    version: int
    manifest_digest: Sha256
    parameters: int


class FolderEvaluation(VersionedRecord):
    """A registered model scored on a folder it has never seen.

    ``files`` counts what became of the folder's files (accepted, or the code of each quarantine). A metric that is undefined for all
    cases is not in ``metrics``; ``conventions`` says what each measure makes of empty masks.
    """

    SCHEMA: ClassVar[str] = "folder_evaluation/1"
    model: ReportModel
    teacher: ReportModel | None = None
    folder: str
    cohort_digest: Sha256
    n: int = Field(ge=1)
    cases: int = Field(ge=1)
    files: dict[str, int]
    metrics: dict[str, Estimate]
    teacher_metrics: dict[str, Estimate] = Field(default_factory=dict)
    subgroups: dict[str, dict[str, Subgroup]] = Field(default_factory=dict)
    conventions: dict[str, str] = Field(default_factory=dict)
    interval: str = "95 % percentile bootstrap over patients, 1000 resamples"
