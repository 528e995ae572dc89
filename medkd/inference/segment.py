"""Segment one study and explain what was found, on the study's own voxels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data_contracts import DataError, Task, TaskKind
from medkd.attribution._attribute import attribute
from medkd.inference.predict import predict_logits, predict_volume
from medkd.targets import lesion_margin
from medkd.volumes.orientation import Grid
from medkd.volumes.resample import Alignment, align
from medkd.volumes.volume_cohort import bring_intensity, corner_of, cut
from medkd.volumes.window import window_intensity


@dataclass(frozen=True)
class PreparedStudy:
    """A study as networks of one task see it.

    Attributes:
        task: of the networks.
        image: float32 [1, *network space] (volumes) or [slice, 1, row, column] (pictures).
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


def prepare_study(values: Tensor, grid: Grid, task: Task) -> PreparedStudy:
    """Bring the voxels of a study [slice, row, column] to what networks of a task were trained on.

    Raises:
        DataError: ``MODEL_TASK`` for a task that does not segment, ``GRID_MISMATCH`` for slices of another size than its pictures.
    """
    if task.kind is not TaskKind.SEGMENTATION:
        raise DataError("MODEL_TASK", f"expected a model that segments, this one is for {task.kind.value}")
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


def explain_region(
    model: nn.Module, study: PreparedStudy, region: Tensor, index: int, *, explainer: str, options: Mapping[str, Any] | None = None
) -> Tensor:
    """Explain why a network gives a region [slice, row, column] the class ``index``: lesion margin over the region, frozen.

    Returns:
        Signed map float32 [slice, row, column] on the study's grid, zero outside of what was looked at: the patch round the region
        (volumes), or the region's slices (pictures).
    """
    inside = (study.to_network(region) > 0.5).to(torch.uint8)
    if not bool(inside.any()):
        return torch.zeros(region.shape)
    if study.alignment is None:
        rows = inside.flatten(1).any(1).nonzero()[:, 0]
        span = slice(int(rows.min()), int(rows.max()) + 1)
        result = torch.zeros(region.shape)
        result[span] = attribute(model, study.image[span], lesion_margin(inside[span], index=index), explainer=explainer, options=options)
        return result
    size = study.task.image_size
    middle = inside.nonzero().float().mean(0).round().long().tolist()
    corner = corner_of(middle, size, tuple(inside.shape))
    patch = cut(study.image[0], corner, size, fill=float(study.image.min()))[None, None]
    target = lesion_margin(cut(inside, corner, size, fill=0)[None], index=index)
    attribution = attribute(model, patch, target, explainer=explainer, options=options)[0]
    placed = cut(attribution, [-c for c in corner], tuple(inside.shape), fill=0.0)
    return study.to_study(placed[None])[0]
