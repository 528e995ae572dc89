"""Stages of an experiment that train or look at one student each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_contracts import (
    Checkpoint,
    CheckpointSeries,
    CohortSet,
    Evaluation,
    KnowledgeRef,
    SelectionCriterion,
    Snapshot,
    Subset,
    Task,
    TaskKind,
    TrainingSpec,
    ValidationScores,
)
from medkd.attribution._attribute import attribute
from medkd.cohorts.open_cohort import open_for_maps
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.evaluation.evaluate import map_subset
from medkd.experiment.validate_student import student_validator
from medkd.explanation.measures_of_maps import class_perturbation
from medkd.inference.predict import predict_logits
from medkd.measures.deletion import deletion
from medkd.measures.insertion import insertion
from medkd.measures.model_parameter_randomisation import model_parameter_randomisation
from medkd.models._build import build_network
from medkd.models._load import load_network, restore_network
from medkd.storage.stage import stage
from medkd.storage.workspace import Workspace
from medkd.targets import class_margin, lesion_margin
from medkd.training.objective import Objective
from medkd.training.processes import in_processes
from medkd.training.train import pretrained, setup_training, student_cohort
from medkd.training.training_run import TrainingRun

#: Cases that faithfulness and randomisation are measured on: each costs dozens of forward passes.
FAITHFUL_CASES = 24
#: A course keeps about this many students.
SNAPSHOTS = 8


@stage
def validate(
    workspace: Workspace, cohorts: CohortSet, checkpoint: Checkpoint, teacher: Checkpoint, goal: SelectionCriterion
) -> ValidationScores:
    """Look at one trained student."""
    network = load_network(workspace, checkpoint)
    validator = student_validator(workspace, cohorts, teacher, goal)
    return validator.look(network, arm=checkpoint.arm, seed=checkpoint.seed, seconds=checkpoint.train_seconds)


@stage
@in_processes
def train_with_snapshots(
    workspace: Workspace,
    spec: TrainingSpec,
    cohorts: CohortSet,
    teacher: Checkpoint,
    goal: SelectionCriterion,
    knowledge: KnowledgeRef | None = None,
) -> CheckpointSeries:
    """Train one student, keep it at about eight epochs, and look at each."""
    objective, epochs = Objective(spec.objective.terms), spec.fit.epochs
    training_run = TrainingRun(workspace, spec)
    epochs_kept = sorted({max(1, round(epochs * k / SNAPSHOTS)) for k in range(1, SNAPSHOTS + 1)})

    def keep(epoch: int, network: nn.Module) -> None:
        if epoch in epochs_kept:
            weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
            workspace.store.write_tensors(_place(training_run.name, epoch), weights)

    started = pretrained(training_run)[0] if spec.objective.init == "pretrained" else None
    last = training_run.run(
        setup_training(training_run, student_cohort(workspace, spec, cohorts), teacher, knowledge),
        objective,
        cohort_digest=cohorts.uses[Subset.learnt_from(spec.objective.cases, spec.seed)].cohort.sha256,
        init_network=started,
        after_epoch=keep,
    )
    validator = student_validator(workspace, cohorts, teacher, goal)
    snapshots = []
    for epoch in epochs_kept:
        ref = workspace.store.refer(_place(training_run.name, epoch))
        network = restore_network(last.network, workspace.store.path(ref), ref.sha256)
        seconds = last.train_seconds * epoch / epochs
        snapshots.append(Snapshot(epoch=epoch, weights=ref, scores=validator.look(network, arm=spec.arm, seed=spec.seed, seconds=seconds)))
    return CheckpointSeries(last=last, snapshots=tuple(snapshots))


def _place(name: str, epoch: int) -> str:
    return f"models/{name}-epoch{epoch}.safetensors"


@stage
def examine(workspace: Workspace, recipe: str, cohorts: CohortSet, checkpoint: Checkpoint, teacher: Checkpoint) -> Evaluation:
    """Measure what costs more or asks more: faithfulness, randomisation, and whether the teacher's mistakes were learned too."""
    subset = map_subset(cohorts)
    cohort = open_for_maps(cohorts, subset, workspace.store, checkpoint.task)
    model = load_network(workspace, checkpoint)
    answer = _answers(model, cohort, checkpoint.task)
    epochs_kept = _teachers_answer(workspace, cohorts, subset, teacher)
    truth = cohort.labels if checkpoint.task.kind is TaskKind.CLASSIFICATION else cohort.masks.long()
    same, wrong = answer == epochs_kept, epochs_kept != truth
    arrays = {"answers_as_teacher": share(same, torch.ones_like(same)), "copies_mistakes": share(same, wrong)}
    some = cohort.select(torch.arange(min(FAITHFUL_CASES, len(cohort))))
    some_answers = answer[: len(some)]
    target = (
        class_margin(some_answers) if checkpoint.task.kind is TaskKind.CLASSIFICATION else lesion_margin((some_answers > 0).to(torch.uint8))
    )
    maps = attribute(model, some.images, target, explainer="cam")
    blank = build_network(checkpoint.network, seed=2**31 + checkpoint.seed).eval()
    measured = {
        "model_parameter_randomisation": model_parameter_randomisation(maps, attribute(blank, some.images, target, explainer="cam"))
    }
    if checkpoint.task.kind is TaskKind.CLASSIFICATION and checkpoint.task.spatial_dims == 2:
        perturbed = class_perturbation(model, some.images, some_answers)
        measured |= {"deletion": deletion(maps, perturbed), "insertion": insertion(maps, perturbed)}
    arrays |= measured
    return Evaluation(
        arm=checkpoint.arm,
        role=checkpoint.role.value,
        seed=checkpoint.seed,
        weights_digest=checkpoint.weights_digest,
        parameters=checkpoint.parameters,
        latency_ms=0.0,
        train_seconds=checkpoint.train_seconds,
        arrays=workspace.store.write_tensors(
            f"evaluations/{recipe}/{checkpoint.arm}-{checkpoint.seed}-{checkpoint.weights_digest[:8]}-examined.safetensors",
            {f"{subset}/{name}": value.double() for name, value in arrays.items()},
        ),
    )


_ANSWERS: dict[tuple[str, ...], Tensor] = {}


def _teachers_answer(workspace: Workspace, cohorts: CohortSet, subset: str, teacher: Checkpoint) -> Tensor:
    """Return what the teacher answers on a test cohort; a process keeps the answers of its last experiment."""
    key = (str(workspace.root), teacher.task.digest(), cohorts.digest(), subset, teacher.weights_digest)
    if key not in _ANSWERS:
        if len(_ANSWERS) >= 4:
            _ANSWERS.clear()
        cohort = open_for_maps(cohorts, subset, workspace.store, teacher.task)
        _ANSWERS[key] = _answers(load_network(workspace, teacher), cohort, teacher.task)
    return _ANSWERS[key]


def _answers(network: nn.Module, cohort: TensorCohort, task: Task) -> Tensor:
    """Return the class of each case, [n], or of each voxel, background where an image was padded, [n, *space]."""
    answers = predict_logits(network, cohort.images).argmax(1)
    return cohort.inside(answers) if task.kind is TaskKind.SEGMENTATION else answers


def share(is_it: Tensor, among: Tensor) -> Tensor:
    """Return per case the share of places that are so among some places; NaN where there are none. [n, *space] -> [n]."""
    counted = (is_it & among).reshape(len(is_it), -1).sum(1).double()
    total = among.reshape(len(among), -1).sum(1).double()
    return torch.where(total > 0, counted / total.clamp_min(1), torch.full_like(counted, float("nan")))
