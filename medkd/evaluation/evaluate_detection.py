"""Per-case results of a detector: what it found of each lesion, what it found besides, and maps of its strongest detection."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from data_contracts import CohortSet, Subset, Task
from medkd.attribution.cam import cam
from medkd.cohorts.open_cohort import open_for_maps, open_volume_use
from medkd.cohorts.tensor_cohort import open_use
from medkd.evaluation.detection_statistics import HITS, MISSED, UNKNOWN
from medkd.inference.detect import detect, detect_volume
from medkd.inference.predict import predict_class_maps
from medkd.measures._boxes import Boxes, Criterion, boxes_of_labels, match
from medkd.measures.cosine_agreement import cosine_agreement
from medkd.measures.froc import froc_score
from medkd.measures.pointing_game import pointing_game
from medkd.measures.relevance_mass_accuracy import relevance_mass_accuracy
from medkd.storage.store import Store
from medkd.targets import lesion_margin, strongest_cell

CRITERIA: tuple[Criterion, ...] = ("centre", "iou10", "iou50")
#: Lesions, and false positives, of a case that an array has room for.
ROOM = 32
#: Score from which on a detection is shown: where single cases are counted.
SHOWN = 0.3
#: Maps are judged on at most this many cases.
MAP_CASES = 400


def evaluate_detector(model: nn.Module, teacher_network: nn.Module, cohorts: CohortSet, store: Store, task: Task) -> dict[str, Tensor]:
    """Return what a detector did on each test case.

    ``test/CRITERION_hits`` are float64 [n, 2, ROOM]: the best score of each lesion, and the score of each false positive. ``test/recall`` (NaN of
    a case without a lesion) and ``test/false_positives`` count the boxes that are shown, ``agreement``, ``relevance_mass_accuracy`` and
    ``pointing`` are of the class maps, where both networks explain the cell that the teacher scores highest.

    Args:
        model: what is judged.
        teacher_network: what its maps are compared with.
        cohorts: of the recipe.
        store: that holds them.
        task: a detection. Volumes are judged on the voxels that networks see.
    """
    found, labels, known = find_in_cohort(model, cohorts, Subset.TEST, store, task)
    arrays = {f"{name}{HITS}": hits_of(found, labels, known, name) for name in CRITERIA}
    matched = [match(_shown(own), boxes_of_labels(label)[0], "iou10") for own, label in zip(found, labels, strict=True)]
    recall = [float(np.isfinite(one.lesions).mean()) if len(one.lesions) else math.nan for one in matched]
    arrays["recall"] = torch.tensor(recall, dtype=torch.double)
    arrays["false_positives"] = torch.tensor([len(one.false_positives) for one in matched], dtype=torch.double)
    unknown = ~torch.tensor(known)
    for name in ("recall", "false_positives"):
        arrays[name][unknown] = math.nan
    arrays |= _maps(model, teacher_network, cohorts, store, task)
    return {f"{Subset.TEST}/{name}": value for name, value in arrays.items()}


def find_in_cohort(
    model: nn.Module, cohorts: CohortSet, subset: str, store: Store, task: Task
) -> tuple[list[Boxes], list[Tensor], list[bool]]:
    """Return of each case of a subset what a detector finds, its label map, and whether it has one; on the voxels that networks see."""
    if task.spatial_dims == 3:
        volumes = open_volume_use(cohorts, subset, store, task)
        return [detect_volume(model, image, task) for image in volumes.images], list(volumes.labels), list(volumes.has_label)
    pictures = open_use(cohorts, subset, store, task)
    return detect(model, pictures.images), list(pictures.masks), pictures.has_mask.tolist()


def mean_sensitivity(model: nn.Module, cohorts: CohortSet, subset: str, store: Store, task: Task) -> float:
    """Return the mean sensitivity of a detector over its operating points (CPM) on a subset; NaN where it holds no lesion."""
    found, labels, known = find_in_cohort(model, cohorts, subset, store, task)
    cases = zip(found, labels, known, strict=True)
    return froc_score([match(own, boxes_of_labels(label)[0], "centre") for own, label, looked in cases if looked])


def hits_of(found: list[Boxes], labels: list[Tensor], known: list[bool], criterion: Criterion) -> Tensor:
    """Return the hits of each case, float64 [n, 2, ROOM]; see :func:`evaluate_detector`."""
    array = torch.full((len(found), 2, ROOM), math.nan, dtype=torch.double)
    for row, (own, label, looked) in enumerate(zip(found, labels, known, strict=True)):
        if not looked:
            array[row] = UNKNOWN
            continue
        matched = match(own, boxes_of_labels(label)[0], criterion)
        lesions = np.where(np.isfinite(matched.lesions), matched.lesions, MISSED)[:ROOM]
        array[row, 0, : len(lesions)] = torch.from_numpy(lesions)
        # The surest first: should there be no room for all, the rest would not matter to any operating point.
        wrong = np.sort(matched.false_positives)[::-1][:ROOM].copy()
        array[row, 1, : len(wrong)] = torch.from_numpy(wrong)
    return array


def _shown(found: Boxes) -> Boxes:
    rows = found.scores >= SHOWN
    return Boxes(found.places[rows], found.scores[rows])


def _maps(model: nn.Module, teacher_network: nn.Module, cohorts: CohortSet, store: Store, task: Task) -> dict[str, Tensor]:
    cohort = open_for_maps(cohorts, Subset.TEST, store, task)
    some = cohort.images[:MAP_CASES]
    _, _, own = predict_class_maps(model, some)
    wanted, _, reference = predict_class_maps(teacher_network, some)
    target = lesion_margin(strongest_cell(wanted))
    student, teacher = cam(own, target), cam(reference, target)
    masks = cohort.masks[:MAP_CASES]
    maps = {
        "agreement": cosine_agreement(student, teacher),
        "relevance_mass_accuracy": relevance_mass_accuracy(student, masks),
        "pointing": pointing_game(student, masks),
    }
    # A case whose maps were not made has none: every array is of all cases.
    rest = len(cohort) - len(some)
    return {name: torch.cat([value.double(), torch.full((rest,), math.nan, dtype=torch.double)]) for name, value in maps.items()}
