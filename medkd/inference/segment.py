"""Segment one study and explain what was found, on the study's own voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data_contracts import DataError, Task, TaskKind
from medkd.attribution._attribute import attribute
from medkd.attribution._budget import expect_windows
from medkd.cohorts.volume_cohort import bring_intensity
from medkd.explanation.explain_windows import explain_volume, flips_of
from medkd.inference.predict import predict_logits, predict_volume
from medkd.targets import LesionMargin, Several
from medkd.volumes.orientation import Grid
from medkd.volumes.resample import Alignment, align
from medkd.volumes.window import window_intensity


@dataclass(frozen=True)
class PreparedStudy:
    """A study as networks of one task see it.

    Attributes:
        task: of the networks.
        image: float32 [1, *network space] (volumes) or [slice, 1, row, column] (pictures). A network that classifies volumes sees the patch
            in its middle (:mod:`medkd.inference.classify`).
        alignment: how volumes belong to the study's grid; None for pictures, which are the study's own slices.
    """

    task: Task
    image: Tensor
    alignment: Alignment | None

    def to_study(self, values: Tensor) -> Tensor:
        """Bring values [channel, *network space] to the study's voxels, [channel, slice, row, column]."""
        return values if self.alignment is None else self.alignment.to_source(values)

    def to_network(self, values: Tensor) -> Tensor:
        """Bring values [slice, row, column] to the network's voxels, float32."""
        return values.float() if self.alignment is None else self.alignment.to_network(values)


def require_segmentation(task: Task) -> None:
    """Refuse networks that do not say where something is.

    Raises:
        DataError: ``MODEL_TASK``.
    """
    if task.kind is not TaskKind.SEGMENTATION:
        raise DataError("MODEL_TASK", f"expected a model that segments, this one is for {task.kind.value}")


def prepare_study(values: Tensor, grid: Grid, task: Task) -> PreparedStudy:
    """Bring the voxels of a study [slice, row, column] to what networks of a task were trained on.

    Raises:
        DataError: ``GRID_MISMATCH`` for slices of another size than its pictures.
    """
    if task.spatial_dims == 3:
        alignment = align(grid, task)
        return PreparedStudy(task, bring_intensity(alignment.to_network(values), task)[None], alignment)
    if tuple(values.shape[1:]) != task.image_size:
        raise DataError(
            "GRID_MISMATCH", f"expected slices of {task.image_size} pixels for this model, the study has {tuple(values.shape[1:])}"
        )
    return PreparedStudy(task, window_intensity(values, task.window)[:, None], None)


def segment(model: nn.Module, study: PreparedStudy) -> Tensor:
    """Return the class of every voxel of the study, uint8 [slice, row, column].

    Logits, not labels, are brought back to the study's grid: where it is resampled, edges are placed between voxels.
    """
    if study.alignment is None:
        return predict_logits(model, study.image, flips=study.task.test_time_flips).argmax(1).to(torch.uint8)
    return study.to_study(predict_volume(model, study.image, study.task)).argmax(0).to(torch.uint8)


def logits_of(model: nn.Module, study: PreparedStudy, image: Tensor | None = None) -> Tensor:
    """Return float32 logits on the network's grid, [classes, *network space] ([classes, slice, row, column] of pictures).

    Args:
        model: segmentation network.
        study: the study.
        image: in the place of the study's own, shaped as it is.
    """
    image = study.image if image is None else image
    if study.alignment is None:
        return predict_logits(model, image, flips=study.task.test_time_flips).movedim(1, 0)
    return predict_volume(model, image, study.task)


def on_network(study: PreparedStudy, regions: Tensor) -> Tensor:
    """Bring regions [lesion, slice, row, column] to the network's voxels, uint8: what is more than half inside."""
    return torch.stack([(study.to_network(region) > 0.5).to(torch.uint8) for region in regions])


def explain_lesions(
    model: nn.Module,
    study: PreparedStudy,
    inside: Tensor,
    classes: Sequence[int],
    *,
    explainer: str,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Tensor:
    """Explain the margins of frozen lesions in one pass, exactly as the study was segmented: windows, flips, slices.

    Args:
        model: segmentation network.
        study: the study.
        inside: uint8 [lesion, *network space]; a lesion without a voxel has a map of zeros.
        classes: class of each lesion.
        explainer: name in the catalogue.
        options: of the explainer.
        seed: of explainers that draw.

    Returns:
        Signed maps float32 [lesion, *network space], in logits; :meth:`PreparedStudy.to_study` brings them to the study's voxels.
    """
    found = torch.zeros(inside.shape, dtype=torch.float32)
    seen = [index for index in range(len(inside)) if bool(inside[index].any())]
    if not seen:
        return found
    wanted = [classes[index] for index in seen]
    if study.alignment is not None:
        found[seen] = explain_volume(
            model, study.image, study.task, inside[seen], explainer=explainer, classes=wanted, options=options, seed=seed
        )
        return found
    # Pictures are the study's slices: those without a lesion have no say in its margin.
    rows, flips = inside[seen].flatten(2).any(2).any(0).nonzero()[:, 0], flips_of(study.task)
    expect_windows(len(flips))
    for axes in flips:
        mirrored = tuple(axis + 1 for axis in axes)
        masks = [(inside[index][rows].float() / len(flips)).flip(mirrored) for index in seen]
        targets = Several(tuple(LesionMargin(mask, index) for mask, index in zip(masks, wanted, strict=True)))
        image = study.image[rows].flip(tuple(axis + 2 for axis in axes))
        maps = attribute(model, image, targets, explainer=explainer, options=options, seed=seed)
        for place, index in enumerate(seen):
            found[index, rows] += maps[:, place].flip(mirrored).cpu()
    return found


def explain_region(
    model: nn.Module, study: PreparedStudy, region: Tensor, index: int, *, explainer: str, options: Mapping[str, Any] | None = None
) -> Tensor:
    """Explain why a network gives a region [slice, row, column] the class ``index``: a signed map float32 on the study's own voxels."""
    maps = explain_lesions(model, study, on_network(study, region[None]), [index], explainer=explainer, options=options)
    return study.to_study(maps)[0]
