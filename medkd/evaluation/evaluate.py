"""From trained networks to scorecards: per-case results once, figures with intervals from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from data_contracts import Checkpoint, CohortSet, Estimate, Evaluation, Part, Scorecard, Subset, Task, TaskKind
from medkd.attribution.cam import cam
from medkd.cohorts.open_cohort import open_pictures, open_volume_use
from medkd.cohorts.tensor_cohort import TensorCohort, open_use, read_cohort
from medkd.evaluation.bootstrap import Statistic, auc_of, bootstrap_figure, is_defined, mean_of
from medkd.evaluation.class_measures import PROBABILITY_OF, class_statistic, classified, segmented
from medkd.evaluation.detection_statistics import HITS, detection_statistics
from medkd.evaluation.evaluate_detection import evaluate_detector
from medkd.evaluation.evaluate_volumes import evaluate_volumes
from medkd.evaluation.shifted_bias import shifted_recalls
from medkd.inference.predict import measure_latency_ms, predict_class_maps, predict_logits
from medkd.measures.cosine_agreement import cosine_agreement
from medkd.measures.dice import dice
from medkd.measures.expected_calibration_error import gaps_of
from medkd.measures.marker_effect import marker_effect
from medkd.measures.pointing_game import pointing_game
from medkd.measures.relevance_mass_accuracy import relevance_mass_accuracy
from medkd.models._heads import head_view
from medkd.models._inputs import load_shown
from medkd.storage.stage import stage
from medkd.storage.store import Store
from medkd.storage.workspace import Workspace
from medkd.targets import class_margin, lesion_margin

#: Quantities whose figure is an AUC of the stored probabilities, by the subset of their cohort.
_AUC_NAMES: dict[str, str] = {Subset.TEST: "auc_same_bias", Subset.DEBIASED: "auc_debiased", Subset.REVERSED: "auc_reversed"}

#: Test cohorts of a segmentation and what their figures' names end with.
SEGMENTATION_TESTS = {Subset.TEST: "", Subset.UNCUED: "_uncued", Subset.MISPLACED: "_misplaced"}

#: Maps are judged on at most this many cases: beyond, the figure's interval hardly changes and the time does.
MAP_CASES = 400


@stage
def evaluate_model(
    workspace: Workspace,
    recipe: str,
    cohorts: CohortSet,
    checkpoint: Checkpoint,
    teacher: Checkpoint,
    case_teacher: Checkpoint | None = None,
) -> Evaluation:
    """Evaluate one network on every test cohort and compare its class maps with the teacher's and with the lesions.

    Args:
        workspace: where cohorts and weights lie.
        recipe: name of the recipe, which file names follow from.
        cohorts: of the recipe.
        checkpoint: of the network, and of its task.
        teacher: of the network, or of itself.
        case_teacher: of the head that classifies, where a network with two heads has a teacher for each.
    """
    # Both are shown what either sees, and each picks its own.
    task = checkpoint.task.seeing_also(teacher.task)
    model = load_shown(workspace, checkpoint, task)
    teacher_network = model if teacher == checkpoint else load_shown(workspace, teacher, task)
    if task.kind is TaskKind.DETECTION:
        arrays = evaluate_detector(model, teacher_network, cohorts, workspace.store, task)
    elif task.case_classes:
        # A head's map is compared with that of the teacher which has the head.
        views = [head_view(model, TaskKind.CLASSIFICATION.value)]
        if case_teacher is not None:
            views.append(load_shown(workspace, case_teacher, task))
        elif teacher_network is not model:
            views.append(head_view(teacher_network, TaskKind.CLASSIFICATION.value))
        arrays = _both((model, teacher_network), (views[0], views[-1]), cohorts, workspace, task)
    elif task.kind is TaskKind.CLASSIFICATION:
        arrays = _classification(model, teacher_network, cohorts, workspace, task)
    elif task.spatial_dims == 3:
        arrays = evaluate_volumes(model, teacher_network, open_volume_use(cohorts, Subset.TEST, workspace.store, task), task)
    else:
        arrays = _segmentation(model, teacher_network, cohorts, workspace, task)
    if checkpoint.hidden_classes and task.kind is TaskKind.CLASSIFICATION and Subset.TEACHER_VALIDATION in cohorts.uses:
        arrays |= shifted_recalls((model, teacher_network), cohorts, workspace.store, task, checkpoint.hidden_classes)
    name = f"{recipe}/{checkpoint.arm}-{checkpoint.seed}-{checkpoint.weights_digest[:8]}"
    sample = torch.zeros(1, task.in_channels, *task.image_size)
    return Evaluation(
        arm=checkpoint.arm,
        role=checkpoint.role.value,
        seed=checkpoint.seed,
        weights_digest=checkpoint.weights_digest,
        parameters=checkpoint.parameters,
        latency_ms=measure_latency_ms(model, sample),
        train_seconds=checkpoint.train_seconds,
        arrays=workspace.store.write_tensors(f"evaluations/{name}.safetensors", arrays),
    )


def _both(
    dense: tuple[nn.Module, nn.Module], of_cases: tuple[nn.Module, nn.Module], cohorts: CohortSet, workspace: Workspace, task: Task
) -> dict[str, Tensor]:
    """Return what both heads of a network do, each a student beside its teacher; maps of the head that classifies are named after it."""
    model, teacher_network = dense
    if task.spatial_dims == 3:
        volumes = open_volume_use(cohorts, Subset.TEST, workspace.store, task)
        arrays = evaluate_volumes(model, teacher_network, volumes, task.without_cases())
    else:
        arrays = _segmentation(model, teacher_network, cohorts, workspace, task.without_cases())
    for key, value in _classification(*of_cases, cohorts, workspace, task.of_cases()).items():
        subset, quantity = key.split("/")
        arrays[key if quantity == "probability" else f"{subset}/classification_{quantity}"] = value
    return arrays


def _classification(
    model: nn.Module, teacher_network: nn.Module, cohorts: CohortSet, workspace: Workspace, task: Task
) -> dict[str, Tensor]:
    arrays: dict[str, Tensor] = {}
    flips = task.test_time_flips
    for subset in (p for p in _AUC_NAMES if p in cohorts.uses):
        cohort = open_pictures(cohorts, subset, workspace.store, task)
        if subset == map_subset(cohorts):
            map_cases = cohort.select(torch.arange(min(MAP_CASES, len(cohort))))
            maps, logits = compare_class_maps(model, teacher_network, map_cases)
            arrays |= {f"{subset}/{name}": value for name, value in maps.items()}
            known = 0 if flips else len(map_cases)
            rest = predict_logits(model, cohort.images[known:], flips=flips) if known < len(cohort) else logits[:0]
            logits = torch.cat([logits[:known], rest])
        else:
            logits = predict_logits(model, cohort.images, flips=flips)
        arrays[f"{subset}/probability"] = logits.softmax(1)[:, 1].double()
        if subset == Subset.TEST:
            arrays |= {f"{subset}/{name}": value for name, value in classified(logits, cohort.labels, task).items()}
    if Subset.MARKER_PAIRS in cohorts.uses:
        pairs = open_use(cohorts, Subset.MARKER_PAIRS, workspace.store, task)
        probability = predict_logits(model, pairs.images).softmax(1)[:, 1]
        arrays["marker_pairs/marker_effect"] = marker_effect(probability[0::2], probability[1::2])
    return arrays


def map_subset(cohorts: CohortSet) -> str:
    """Return the cohort on which maps are judged: the one without the planted bias where there is one."""
    return Subset.DEBIASED if Subset.DEBIASED in cohorts.uses else Subset.TEST


def compare_class_maps(model: nn.Module, teacher_network: nn.Module, cohort: TensorCohort) -> tuple[dict[str, Tensor], Tensor]:
    """Return ``agreement``, ``relevance_mass_accuracy`` and ``pointing`` [n] of class maps, and the model's logits (of the images as they are).

    Both networks explain the teacher's answer. Cases without a mask have no localisation (NaN).
    """
    logits, _, student_trace = predict_class_maps(model, cohort.images)
    answered, _, teacher_trace = (
        (logits, None, student_trace) if teacher_network is model else predict_class_maps(teacher_network, cohort.images)
    )
    target = class_margin(answered.argmax(1))
    student, reference = cam(student_trace, target), cam(teacher_trace, target)
    return {
        "agreement": cosine_agreement(student, reference),
        "relevance_mass_accuracy": relevance_mass_accuracy(student, cohort.masks),
        "pointing": pointing_game(student, cohort.masks),
    }, logits


def _segmentation(model: nn.Module, teacher_network: nn.Module, cohorts: CohortSet, workspace: Workspace, task: Task) -> dict[str, Tensor]:
    arrays: dict[str, Tensor] = {}
    flips = task.test_time_flips
    for subset, suffix in SEGMENTATION_TESTS.items():
        if subset not in cohorts.uses:
            continue
        cohort = open_use(cohorts, subset, workspace.store, task)
        maps, answer, reference = compare_segmentation_maps(model, teacher_network, cohort)
        if flips:
            answer, reference = (predict_logits(network, cohort.images, flips=flips).argmax(1) for network in (model, teacher_network))
        outside = (answer > 0) & (cohort.masks == 0)
        quantities = {
            "dice": dice(answer, cohort.masks),
            "dice_to_teacher": dice(answer, reference),
            "false_positive_pixels": outside.flatten(1).sum(1).double(),
            **segmented(answer, cohort.masks, task),
            **maps,
        }
        if subset == Subset.MISPLACED:
            quantities["false_positives_at_cue"] = (outside & _cue_regions(cohorts, subset, workspace)).flatten(1).sum(1).double()
        arrays |= {f"{subset}/{name}{suffix if name != 'false_positives_at_cue' else ''}": value for name, value in quantities.items()}
    return arrays


def _cue_regions(cohorts: CohortSet, subset: str, workspace: Workspace) -> Tensor:
    """Return bool [n, row, column]: the disc that each case's cue encloses (phantom)."""
    use = cohorts.uses[subset]
    shard = workspace.store.read_tensors(read_cohort(use.cohort, workspace.store).part(Part(use.part))[0].image)
    return shard["cues"].bool()


def compare_segmentation_maps(
    model: nn.Module, teacher_network: nn.Module, cohort: TensorCohort
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return ``agreement`` and ``relevance_mass_accuracy`` [n] of class maps, and what model and guide answer [n, *space].

    Both networks explain the region the guide segments.
    """
    logits, _, student_trace = predict_class_maps(model, cohort.images)
    answered, _, teacher_trace = (
        (logits, None, student_trace) if teacher_network is model else predict_class_maps(teacher_network, cohort.images)
    )
    reference = answered.argmax(1)
    target = lesion_margin((reference > 0).to(torch.uint8))
    student, wanted = cam(student_trace, target), cam(teacher_trace, target)
    maps = {"agreement": cosine_agreement(student, wanted), "relevance_mass_accuracy": relevance_mass_accuracy(student, cohort.masks)}
    return maps, logits.argmax(1), reference


@stage
def summarise(workspace: Workspace, recipe: str, cohorts: CohortSet, evaluations: tuple[Evaluation, ...]) -> Scorecard:
    """Make the scorecard of one arm from the evaluations of its seeds, with two-level bootstrap intervals.

    A quantity that is undefined for every case (maps of a network that finds nothing) has no figure.
    """
    arrays = [workspace.store.read_tensors(evaluation.arrays) for evaluation in evaluations]
    figures: dict[str, Estimate] = {}
    per_seed: dict[str, tuple[float | None, ...]] = {}
    for key in sorted(arrays[0]):
        subset, quantity = key.split("/")
        values = torch.stack([array[key] for array in arrays]).numpy()
        labels, patients = units_of(workspace.store, cohorts, subset, quantity, values.shape[1])
        for name, statistic in statistics_of(subset, quantity, values, labels, single=Subset.DEBIASED not in cohorts.uses).items():
            if not is_defined(statistic, values.shape[1], len(evaluations)):
                continue
            # Empty places in an array of hits are no cases.
            missing = 0 if values.ndim > 2 else int(np.isnan(values).sum())
            figures[name] = bootstrap_figure(statistic, patients, seeds=len(evaluations), missing=missing)
            everything = np.arange(values.shape[1])
            per_seed[name] = tuple(_or_none(statistic(everything, seed)) for seed in range(len(evaluations)))
    first = evaluations[0]
    return Scorecard(
        subject=f"{recipe}/{first.arm}",
        role=first.role,
        cohort_digest=cohorts.digest(),
        weights_digests=tuple(evaluation.weights_digest for evaluation in evaluations),
        seeds=tuple(evaluation.seed for evaluation in evaluations),
        figures=figures,
        per_seed=per_seed,
        interval="95 % percentile bootstrap, 1000 resamples, seeds then patients",
        parameters=first.parameters,
        latency_ms=float(np.median([evaluation.latency_ms for evaluation in evaluations])),
        train_seconds=float(np.mean([evaluation.train_seconds for evaluation in evaluations])),
    )


def units_of(store: Store, cohorts: CohortSet, subset: str, quantity: str, rows: int) -> tuple[np.ndarray, list[str]]:
    """Return label and patient of each row of an array; a pair is one row, of one patient."""
    use = cohorts.uses[subset]
    cases = read_cohort(use.cohort, store).part(Part(use.part))
    cases = cases[0::2] if quantity == "marker_effect" else cases[:rows]
    return np.array([-1 if case.label is None else case.label for case in cases]), [case.patient_key for case in cases]


def statistics_of(subset: str, quantity: str, values: np.ndarray, labels: np.ndarray, *, single: bool) -> Mapping[str, Statistic]:
    """Return the named statistics that are made of one stored quantity; ``single`` when there is one test cohort only."""
    if quantity.endswith(HITS):
        return detection_statistics(quantity, values)
    if quantity.startswith(PROBABILITY_OF):
        return class_statistic(quantity, values, labels)
    if quantity != "probability":
        return {quantity: mean_of(values)}
    # Of several classes it is the second one's probability, against all others.
    name, labels = "auc" if single else _AUC_NAMES[subset], np.where(labels > 1, 0, labels)
    statistics: dict[str, Statistic] = {name: auc_of(values, labels)}
    if subset == Subset.TEST:
        statistics["ece"] = _ece_of(values, labels)
    return statistics


def _ece_of(values: np.ndarray, labels: np.ndarray) -> Statistic:
    """Return the measure of that name as a statistic: each case's bin and gap are found once, a resample only sums them."""
    gaps = [tuple(part.numpy() for part in gaps_of(torch.from_numpy(own), torch.from_numpy(labels))) for own in values]

    def statistic(rows: np.ndarray, seed: int) -> float:
        place, gap = gaps[seed]
        return float(np.abs(np.bincount(place[rows], weights=gap[rows])).sum() / len(rows))

    return statistic


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
