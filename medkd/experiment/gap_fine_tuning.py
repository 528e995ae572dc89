"""Gap-weighted fine-tuning: the difference of teacher and student weighs cases and voxels of the next round, until it no longer falls."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from data_contracts import (
    Checkpoint,
    CohortSet,
    GapFineTuning,
    GapFineTuningRound,
    GapFineTuningRun,
    RecipeError,
    SelectionCriterion,
    Task,
    TaskKind,
    TrainingConfig,
    TrainingSpec,
    ValidationScores,
)
from medkd.attribution._attribute import attribute
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.experiment.validate_student import StudentValidator, student_validator
from medkd.knowledge.gap import margin_gap
from medkd.models._load import load_network
from medkd.storage.stage import stage
from medkd.storage.workspace import Workspace
from medkd.targets import Target, class_margin, lesion_margin
from medkd.trace import Sample
from medkd.training.objective import Objective
from medkd.training.train import student_cohort
from medkd.training.training_run import InitialNetwork, LoadedTeacher, TrainingRun, TrainingSetup, load_teacher

#: Weights stay within this factor of one: a case that is hopeless for the student must not be all it sees.
MOST = 4.0
CHUNK = 64


@dataclass(frozen=True)
class WeightedCohort:
    """A cohort whose batches carry weights: of cases [n], mean 1, and of voxels [n, *space], mean 1 per case."""

    cohort: TensorCohort
    cases: Tensor
    voxels: Tensor

    def __len__(self) -> int:
        return len(self.cohort)

    def draw(self, rows: Tensor, task: Task, config: TrainingConfig, generator: torch.Generator) -> Sample:
        """Return the cohort's batch with its weights."""
        return replace(self.cohort.draw(rows, task, config, generator), weights=self.cases[rows], voxel_weights=self.voxels[rows])

    def patients(self) -> list[str]:
        """Return the patient key of each case."""
        return self.cohort.patients()


@stage
def fine_tune_on_gap(
    workspace: Workspace,
    spec: TrainingSpec,
    cohorts: CohortSet,
    teacher: Checkpoint,
    student: Checkpoint,
    config: GapFineTuning,
    goal: SelectionCriterion,
) -> GapFineTuningRun:
    """Go on training a student in rounds; with ``strength`` 0 all weights stay one: the control, the same further epochs.

    Rounds end when the mean gap on the validation cases (teacher's margin less the student's, absolute) falls by less than the requested
    share, or when all are made; the round with the smallest gap there is kept.
    """
    cohort = student_cohort(workspace, spec, cohorts)
    if not isinstance(cohort, TensorCohort):
        raise RecipeError(
            "RECIPE_NEEDS", f"expected pictures for rounds on the gap, got volumes of {spec.task.image_size}, which have none yet"
        )
    objective = Objective(spec.objective.terms)
    loaded = load_teacher(workspace, objective, teacher, spec.shown_task)
    if loaded is None:
        raise RecipeError("RECIPE_NEEDS", f"expected a term with a teacher in arm {spec.arm!r}: without one there is no gap")
    validator = student_validator(workspace, cohorts, teacher, goal)
    rounds = [GapFineTuningRound(round=0, checkpoint=student, scores=_look(workspace, validator, student))]
    stopped = f"all {config.rounds} rounds made"
    for number in range(1, config.rounds + 1):
        previous = load_network(workspace, rounds[-1].checkpoint)
        weights = gap_weights(loaded, previous, cohort, spec.task, config.strength)
        suffix = f"-gap{number}-{config.digest()[:6]}"
        key = f"{rounds[-1].checkpoint.weights_digest}{config.digest()}"
        training_run = TrainingRun(workspace, spec, key=key, suffix=suffix)
        trained = training_run.run(
            TrainingSetup(WeightedCohort(cohort, *weights), loaded),
            objective,
            cohort_digest=student.cohort_digest,
            init_network=InitialNetwork(previous, rounds[-1].checkpoint.network),
            epochs=config.epochs,
        )
        rounds.append(GapFineTuningRound(round=number, checkpoint=trained, scores=_look(workspace, validator, trained)))
        before, after = (entry.scores.gap for entry in rounds[-2:])
        if after > (1 - config.least_gain) * before:
            stopped = f"round {number} lowered the gap from {before:.3f} to {after:.3f}, less than {config.least_gain:.0%}"
            break
    chosen = min(range(len(rounds)), key=lambda index: rounds[index].scores.gap)
    return GapFineTuningRun(rounds=tuple(rounds), weighted=config.strength > 0, stopped=stopped, chosen=chosen)


def _look(workspace: Workspace, validator: StudentValidator, checkpoint: Checkpoint) -> ValidationScores:
    network = load_network(workspace, checkpoint)
    return validator.look(network, arm=checkpoint.arm, seed=checkpoint.seed, seconds=checkpoint.train_seconds)


def gap_weights(
    loaded: LoadedTeacher, student: torch.nn.Module, cohort: TensorCohort, task: Task, strength: float
) -> tuple[Tensor, Tensor]:
    """Return weights of cases [n] and voxels [n, *space] from the gap: its share of the mean to the power ``strength``, kept in bounds."""
    if strength == 0:
        return torch.ones(len(cohort)), torch.ones(cohort.images[:, 0].shape)
    gaps, maps = [], []
    for begin in range(0, len(cohort), CHUNK):
        images = cohort.images[begin : begin + CHUNK]
        target = _target(loaded, images, task)
        gaps.append(margin_gap(loaded.network, student, images, target).abs())
        maps.append(attribute(student, images, target, explainer="gap_attribution", options={"teacher": loaded.network}).abs())
    voxels = torch.cat(maps)
    return bounded(torch.cat(gaps)[None], strength)[0], bounded(voxels.flatten(1), strength).reshape(voxels.shape)


def bounded(values: Tensor, strength: float) -> Tensor:
    """Return rows of weights [rows, n]: each value's share of its row's mean to a power, within a factor of MOST of one, mean 1."""
    share = values / values.mean(1, keepdim=True).clamp_min(1e-12)
    weights = share.pow(strength).clamp(1 / MOST, MOST)
    return weights / weights.mean(1, keepdim=True)


def _target(loaded: LoadedTeacher, images: Tensor, task: Task) -> Target:
    with torch.no_grad():
        answer = loaded.network(images).argmax(1)
    return class_margin(answer) if task.kind is TaskKind.CLASSIFICATION else lesion_margin((answer > 0).to(torch.uint8))
