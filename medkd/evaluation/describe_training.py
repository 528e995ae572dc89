"""The stage that keeps what a student's training cases look like to it: pooled features, pseudonyms and labels, and no picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data_contracts import Case, Checkpoint, CohortSet, Task, TaskKind, TrainingFeatures, TrainingItem, require_kind
from medkd.cohorts.open_cohort import open_pictures, open_volume_use
from medkd.cohorts.tensor_cohort import MISSING, TensorCohort
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.inference.components import SMALLEST_VOXELS, find_components
from medkd.inference.nearest_cases import groups_of, nearest_of_others, quantiles_of
from medkd.inference.pooled_features import patch_round, pooled_features
from medkd.inference.predict import predict_logits, predict_volume
from medkd.models._load import load_network
from medkd.storage.stage import stage
from medkd.storage.store import Store
from medkd.storage.workspace import Workspace

#: File of the features, in a run's store and beside a version.
ARRAYS = "training_features.safetensors"
#: So many training cases of a subset are asked about: of more, all cases of patients drawn by a fixed seed.
MOST_CASES = 2000
#: Components of one class that are kept of a case, the largest first.
MOST_COMPONENTS = 5
_SEED = 20261128
#: Images whose features are made at once.
_TOGETHER = 16


@dataclass(frozen=True)
class _Asked:
    """An item, and what its features are pooled from.

    Attributes:
        item: what it is.
        image: [channel, *space].
        mask: [*space], non-zero inside; None of a classifier.
    """

    item: TrainingItem
    image: Tensor
    mask: Tensor | None = None


@stage
def describe_training(
    workspace: Workspace, recipe: str, cohorts: CohortSet, checkpoint: Checkpoint, subsets: tuple[str, ...]
) -> TrainingFeatures:
    """Ask a network about the cases that it was trained on, and keep the features by which a finding is compared with them.

    Of a model that segments the components that it outlines itself are kept, since a later study has no other outline either. Where
    nothing is outlined there are no items.

    Args:
        workspace: where cohorts and weights lie, and the features go.
        recipe: name of the recipe, which the file's name follows from.
        cohorts: of the recipe.
        checkpoint: of the network, and of its task.
        subsets: that it was trained on.
    """
    require_kind(checkpoint.task, "the comparison with training cases")
    network, task = load_network(workspace, checkpoint), checkpoint.task
    by_case = [case for subset in subsets for case in _asked_of(network, cohorts, subset, workspace.store, task)]
    asked = [one for case in by_case for one in case]
    features, layer = _features(network, asked)
    items = tuple(one.item for one in asked)
    nearest = nearest_of_others(features, [one.patient_key for one in items], groups_of(task.kind, [one.label for one in items]))
    key = f"training_features/{recipe}/{checkpoint.run_name}-{checkpoint.weights_digest[:8]}/{ARRAYS}"
    return TrainingFeatures(
        weights_digest=checkpoint.weights_digest,
        cohort_digest=checkpoint.cohort_digest,
        kind=task.kind,
        layer=layer,
        pooling="mask" if task.kind is TaskKind.SEGMENTATION else "mean",
        cases=len(by_case),
        items=items,
        quantiles=quantiles_of(nearest),
        array=workspace.store.write_arrays(key, {"features": features, "nearest": nearest}),
    )


def _features(network: nn.Module, asked: Sequence[_Asked]) -> tuple[NDArray[np.float32], str]:
    """Return features [item, feature] and their layer, some images at a time."""
    rows, layer = [], ""
    for begin in range(0, len(asked), _TOGETHER):
        some = asked[begin : begin + _TOGETHER]
        masks = [one.mask for one in some if one.mask is not None]
        found, layer = pooled_features(network, torch.stack([one.image for one in some]), torch.stack(masks) if masks else None)
        rows.append(found.numpy())
    return (np.concatenate(rows) if rows else np.zeros((0, 1), dtype=np.float32)), layer


def _asked_of(network: nn.Module, cohorts: CohortSet, subset: str, store: Store, task: Task) -> Iterator[list[_Asked]]:
    """Yield what is asked of each case of a subset: its picture, or the components that the network outlines."""
    if task.spatial_dims == 3 and task.kind is TaskKind.SEGMENTATION:
        yield from _in_volumes(network, open_volume_use(cohorts, subset, store, task), task)
        return
    pictures = open_pictures(cohorts, subset, store, task)
    pictures = pictures.select(torch.tensor(_drawn(pictures.cases)))
    yield from (_classified(pictures, task) if task.kind is TaskKind.CLASSIFICATION else _in_pictures(network, pictures, task))


def _classified(pictures: TensorCohort, task: Task) -> Iterator[list[_Asked]]:
    for case, image, label in zip(pictures.cases, pictures.images, pictures.labels.tolist(), strict=True):
        yield [_Asked(_item(case, "" if label == MISSING else task.classes[label]), image)]


def _in_pictures(network: nn.Module, pictures: TensorCohort, task: Task) -> Iterator[list[_Asked]]:
    for begin in range(0, len(pictures), _TOGETHER):
        images = pictures.images[begin : begin + _TOGETHER]
        marked = predict_logits(network, images, flips=task.test_time_flips).argmax(1)
        for row, image in enumerate(images):
            found = _components(marked[row][None], task)
            yield [
                _Asked(_item(pictures.cases[begin + row], name, int(mask.sum())), image, torch.from_numpy(mask[0])) for name, mask in found
            ]


def _in_volumes(network: nn.Module, volumes: VolumeCohort, task: Task) -> Iterator[list[_Asked]]:
    for row in _drawn(volumes.cases):
        image, alignment = volumes.images[row], volumes.alignments[row]
        voxel_ml = abs(float(np.linalg.det(alignment.network.affine_lps_mm[:3, :3]))) / 1000
        asked = []
        for name, mask in _components(predict_volume(network, image, task).argmax(0), task):
            item = _item(volumes.cases[row], name, int(mask.sum()), voxel_ml)
            asked.append(_Asked(item, *patch_round(image, torch.from_numpy(mask), task.image_size)))
        yield asked


def _components(marked: Tensor, task: Task) -> list[tuple[str, NDArray[np.uint8]]]:
    """Return class and mask [slice, row, column] of the largest components of each class of a label map of that shape."""
    found = []
    for index, name in enumerate(task.classes[1:], 1):
        # Without a geometry, on the network's grid: nothing but the masks is used of them.
        components = find_components((marked == index).numpy(), None, class_name=name, smallest=SMALLEST_VOXELS)
        found += [(name, mask) for _, mask in components[:MOST_COMPONENTS]]
    return found


def _item(case: Case, label: str, voxels: int | None = None, voxel_ml: float | None = None) -> TrainingItem:
    volume = None if voxels is None or voxel_ml is None else voxels * voxel_ml
    return TrainingItem(case_key=case.case_key, patient_key=case.patient_key, label=label, voxels=voxels, volume_ml=volume)


def _drawn(cases: Sequence[Case]) -> list[int]:
    """Return the rows that are asked about, in order: all, or the cases of patients drawn by a fixed seed until there are ``MOST_CASES``."""
    of_patient: dict[str, list[int]] = {}
    for row, case in enumerate(cases):
        of_patient.setdefault(case.patient_key, []).append(row)
    groups, rows = list(of_patient.values()), list[int]()
    for place in np.random.default_rng(_SEED).permutation(len(groups)) if len(cases) > MOST_CASES else range(len(groups)):
        if rows and len(rows) + len(groups[place]) > MOST_CASES:
            break
        rows += groups[place]
    return sorted(rows)
