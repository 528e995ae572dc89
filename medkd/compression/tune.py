"""Training of a network that was compressed: distillation from a frozen one by the loop that trained it, begun at the weights that are left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from data_contracts import (
    Arm,
    Checkpoint,
    CohortSet,
    CompressionError,
    KnowledgeError,
    LossTerm,
    Subset,
    TaskKind,
    TrainingSpec,
    Tuning,
)
from medkd.cohorts.split import require_clean
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.evaluation.validate import validation
from medkd.models._load import load_network
from medkd.storage.workspace import Workspace
from medkd.training.objective import Objective
from medkd.training.train import student_cohort
from medkd.training.training_run import InitialNetwork, LoadedTeacher, TrainingRun, TrainingSetup

#: How attributions are compared where no term says otherwise: class maps on so many cells along each axis.
TRANSFER: Mapping[str, Any] = {"explainer": "cam", "grid": 8}


@dataclass(frozen=True)
class Tuner:
    """Trains what is left of one version, as often as it is compressed further.

    Attributes:
        workspace: where files go.
        spec: how, and what for; its seed is that of the tuning.
        cohort: the training cases of the version, and no others.
        cohort_digest: of these.
        teacher: the frozen network that is distilled from; None where no term asks one.
        key: what an interrupted tuning must share with this one to be gone on with, beside ``spec``.
        validate: figure that ``fit.patience`` is about.
    """

    workspace: Workspace
    spec: TrainingSpec
    cohort: TensorCohort | VolumeCohort
    cohort_digest: str
    teacher: LoadedTeacher | None
    key: str
    validate: Callable[[nn.Module], float] | None = None

    def train(
        self, start: InitialNetwork, *, part: str, epochs: int | None = None, after_epoch: Callable[[int, nn.Module], None] | None = None
    ) -> Checkpoint:
        """Train from a network and return the checkpoint of what is left of it.

        Args:
            start: what training begins with; it is changed.
            part: tells the rounds of one version apart in names of files.
            epochs: instead of those of the fit.
            after_epoch: called with the number of finished epochs and the network.
        """
        run = TrainingRun(self.workspace, self.spec, key=f"{self.key}{part}", suffix=f"-{self.key[:8]}-{part}")
        objective, setup = Objective(self.spec.objective.terms), TrainingSetup(self.cohort, self.teacher)
        return run.run(
            setup,
            objective,
            cohort_digest=self.cohort_digest,
            init_network=start,
            epochs=epochs,
            after_epoch=after_epoch,
            validate=self.validate,
        )


def open_tuner(
    workspace: Workspace, training: tuple[TrainingSpec, CohortSet], teacher: LoadedTeacher | None, tuning: Tuning, *, seed: int, key: str
) -> Tuner:
    """Return what tunes a version on the cases that it was trained on.

    Args:
        workspace: where files go.
        training: of the version: ``recipe.student_training(arm, seed)``, and the prepared cohorts.
        teacher: of :func:`imitated`.
        tuning: how.
        seed: of the order of cases and of their views.
        key: digest of what is tuned, with which a state is found again.

    Raises:
        CompressionError: ``TUNING_PROCESSES`` when it wants several processes.
        LeakageError: ``NO_CLEAN_CERTIFICATE`` when cases of training and test share anything.
    """
    spec, cohorts = training
    if tuning.fit.processes != 1:
        raise CompressionError(
            "TUNING_PROCESSES",
            f"expected tune.fit.processes 1, got {tuning.fit.processes}: what is tuned is small, and rounds follow one another",
        )
    require_clean(cohorts, before="tuning")
    figure = "auc" if spec.task.kind is TaskKind.CLASSIFICATION else "dice"
    tuned = spec.model_copy(
        update={
            "seed": seed,
            "fit": tuning.fit,
            "objective": Arm(terms=tuning_terms(tuning, spec.objective.terms)),
            "resolution": None,
            "class_map": {},
            "selection": None if tuning.fit.patience is None else spec.selection or figure,
        }
    )
    validate = None if tuned.selection is None else validation(cohorts, workspace.store, tuned)
    digest = cohorts.uses[Subset.STUDENT_TRAIN.of(spec.seed)].cohort.sha256
    return Tuner(workspace, tuned, student_cohort(workspace, spec, cohorts), digest, teacher, key, validate)


def tuning_terms(tuning: Tuning, own: tuple[LossTerm, ...]) -> tuple[LossTerm, ...]:
    """Return the objective of a tuning: its terms, and the one that keeps attributions where it has a weight."""
    if tuning.keep_attributions == 0:
        return tuning.terms
    options = dict(transfer_options((*tuning.terms, *own)))
    return (*tuning.terms, LossTerm(loss="attribution_transfer", weight=tuning.keep_attributions, options=options))


def transfer_options(terms: tuple[LossTerm, ...]) -> Mapping[str, Any]:
    """Return how attributions are compared: as the first term does that compares some."""
    return next((term.options for term in terms if term.loss == "attribution_transfer"), TRANSFER)


def imitated(
    workspace: Workspace, origin: Checkpoint, teacher: Checkpoint | None, tuning: Tuning | None, terms: tuple[LossTerm, ...]
) -> LoadedTeacher | None:
    """Return the frozen network that is distilled from; None where neither terms nor attributions ask one.

    Raises:
        KnowledgeError: ``TEACHER_MISSING``; ``TASK_INPUTS`` for a teacher that sees other inputs.
    """
    if "teacher" not in Objective(terms).needs:
        return None
    chosen = origin if tuning is not None and tuning.distill_from == "origin" else teacher
    if chosen is None:
        raise KnowledgeError(
            "TEACHER_MISSING",
            f"expected weights of the teacher of {origin.run_name} to distil from, got None; set tune.distill_from: origin",
        )
    if chosen.task.input_names != origin.task.input_names:
        raise KnowledgeError(
            "TASK_INPUTS",
            f"expected a teacher that sees what {origin.run_name} sees, {list(origin.task.input_names)}, it sees {list(chosen.task.input_names)}; "
            "set tune.distill_from: origin",
        )
    return LoadedTeacher(load_network(workspace, chosen), chosen.network, chosen.weights_digest)
