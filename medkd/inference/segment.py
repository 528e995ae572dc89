"""Segment one study and explain what was found, on the study's own voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data_contracts import DataError, Task, require_one_image
from medkd.cohorts.volume_cohort import bring_intensity
from medkd.inference.predict import predict_logits, predict_volume
from medkd.volumes.letterbox import from_letterbox, letterbox
from medkd.volumes.most_likely import most_likely
from medkd.volumes.orientation import Grid
from medkd.volumes.resample import Alignment, align
from medkd.volumes.window import window_intensity


@dataclass(frozen=True)
class PreparedStudy:
    """A study as networks of one task see it.

    Attributes:
        task: of the networks.
        image: float32 [channel, *network space] (volumes) or [slice, channel, row, column] (pictures). A network that classifies volumes sees the patch
            in its middle (:mod:`medkd.inference.classify`).
        alignment: how volumes belong to the study's grid; None for pictures, which are the study's own slices.
        matrix: rows and columns of the study's own pictures where they were brought to the network's size by a letterbox; None where they
            have it.
    """

    task: Task
    image: Tensor
    alignment: Alignment | None
    matrix: tuple[int, int] | None = None

    def to_study(self, values: Tensor) -> Tensor:
        """Bring values [channel, *network space] to the study's voxels, [channel, slice, row, column]."""
        if self.matrix is not None:
            own = [[from_letterbox(plane.numpy(), self.matrix) for plane in channel] for channel in values]
            return torch.from_numpy(np.array(own, dtype=np.float32))
        return values if self.alignment is None else self.alignment.to_source(values)

    def to_network(self, values: Tensor) -> Tensor:
        """Bring values [slice, row, column] to the network's voxels, float32."""
        if self.matrix is not None:
            rows, columns = self.task.image_size[-2:]
            return torch.from_numpy(np.stack([letterbox(plane, (rows, columns))[0] for plane in values.float().numpy()]))
        return values.float() if self.alignment is None else self.alignment.to_network(values)


def prepare_study(values: Tensor, grid: Grid | None, task: Task, further: Sequence[NDArray[np.float32]] = ()) -> PreparedStudy:
    """Bring the voxels of a study [slice, row, column] to what networks of a task were trained on.

    Args:
        values: voxels, or what is shown of a picture [frame, row, column].
        grid: of a volume; None of a picture, which is brought to size as pictures are imported (:mod:`medkd.volumes.letterbox`).
        task: of the networks.
        further: other images on the same voxels, float32, of networks that see several.

    Raises:
        DataError: ``GRID_MISMATCH`` for slices of another size than its pictures, or a picture where volumes are asked for;
            ``TASK_INPUTS`` for a network that needs other images of a case.
    """
    if not further:
        require_one_image(task, "the study, which has one")
    elif grid is None or task.in_channels != 1 + len(further):
        raise DataError("TASK_INPUTS", f"expected {', '.join(task.input_names)} of a study, it has {1 + len(further)} images here")
    if grid is None:
        return _prepare_pictures(values, task)
    images = (values, *map(torch.from_numpy, further))
    # The axes of a volume may lie any way in the patient; pictures are taken as they are stored.
    if task.spatial_dims == 3:
        alignment = align(grid, task)
        return PreparedStudy(task, torch.stack([bring_intensity(alignment.to_network(image), task) for image in images]), alignment)
    if tuple(values.shape[1:]) != task.image_size:
        raise DataError(
            "GRID_MISMATCH", f"expected slices of {task.image_size} pixels for this model, the study has {tuple(values.shape[1:])}"
        )
    return PreparedStudy(task, torch.stack([window_intensity(image, task.window) for image in images], 1), None)


def _prepare_pictures(values: Tensor, task: Task) -> PreparedStudy:
    if task.spatial_dims == 3:
        raise DataError("GRID_MISMATCH", f"expected a volume for this model, which sees {task.image_size} voxels, the study is a picture")
    rows, columns = task.image_size[-2:]
    matrix = (int(values.shape[1]), int(values.shape[2]))
    frames = values.numpy() if values.dtype == torch.uint8 else values.float().numpy()
    # As they were imported for training: whole values are rounded, as those of a picture of 8 bits are.
    boxed = torch.from_numpy(np.stack([letterbox(frame, (rows, columns))[0] for frame in frames]))
    return PreparedStudy(task, window_intensity(boxed, task.window)[:, None], None, None if matrix == task.image_size else matrix)


def segment(model: nn.Module, study: PreparedStudy) -> Tensor:
    """Return the class of every voxel of the study, uint8 [slice, row, column].

    Logits, not labels, are brought back to the study's grid: where it is resampled, edges are placed between voxels.
    """
    if study.alignment is None:
        logits = predict_logits(model, study.image, flips=study.task.test_time_flips).movedim(1, 0)
    else:
        logits = predict_volume(model, study.image, study.task)
    return torch.from_numpy(most_likely(study.to_study(logits).cpu().numpy()))


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
