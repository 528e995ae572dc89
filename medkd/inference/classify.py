"""Classify one study and explain the answers, on the study's own voxels: each slice of a study of pictures, or the volume as a whole."""

from __future__ import annotations

from torch import Tensor, nn

from medkd.cohorts.volume_cohort import corner_of, cut
from medkd.inference.predict import predict_logits
from medkd.inference.segment import PreparedStudy


def pictures_of(study: PreparedStudy, image: Tensor | None = None) -> Tensor:
    """Return what a classifier is asked about, [picture, 1, *space]: the study's slices, or the patch in the middle of its volume.

    Args:
        study: the study.
        image: in the place of the study's own, shaped as it is.
    """
    image = study.image if image is None else image
    if study.alignment is None:
        return image
    # As training cuts it (open_pictures): another patch of the volume would be another question.
    size = study.task.image_size
    return cut(image, corner_of(None, size, tuple(image.shape[1:])), size, fill=float(image.min()))[None]


def class_logits(model: nn.Module, pictures: Tensor, study: PreparedStudy) -> Tensor:
    """Return float32 logits [picture, classes], averaged over the task's mirrorings."""
    return predict_logits(model, pictures, flips=study.task.test_time_flips)
