"""A second view: the student's answer to it follows the teacher's answer to the very same view."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from medkd.distillation._reduce import require_teacher
from medkd.distillation.logit_kd import logit_kd
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace, running_statistics
from medkd.trace import trace as run
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher", "views"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "consistent teaching, Beyer et al. CVPR 2022 (2106.05237): teacher and student always see the same view"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True
LABELS_OF_VIEWS = True


def consistency(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    view: Literal["mirror", "zoom", "gain"] = "mirror",
    strength: float = 0.2,
    temperature: Number = 4.0,
    background: float = 1.0,
) -> Scalar:
    """Return ``logit_kd`` on one further view of the batch, the student with running statistics.

    Args:
        student: trace whose model is asked again.
        teacher: answers about the same view (``for_batch``).
        sample: weights; the valid mask and the labels of voxels, by which several teachers may be weighed, move along.
        view: ``mirror`` the last axis, ``zoom`` into the middle by ``strength`` (nearest cells, so that no new intensity arises), or
            ``gain``, intensities times 1 + ``strength``.
        strength: of zoom and gain.
        temperature: as in ``logit_kd``.
        background: as in ``logit_kd``.
    """
    knowledge = require_teacher(teacher, "consistency")
    image = student.image * (1 + strength) if view == "gain" else _moved(student.image, view, strength)
    valid, labels = sample.valid_mask, sample.labels
    # A gain moves nothing: what was measured stays where it was.
    if valid is not None and view != "gain":
        valid = _moved(valid[:, None], view, strength)[:, 0]
    if labels is not None and labels.ndim > 1 and view != "gain":
        labels = _moved(labels[:, None], view, strength)[:, 0]
    with running_statistics(student.model):
        moved_student = run(student.model, image)
    moved = Sample(inputs={"image": image}, valid_mask=valid, weights=sample.weights)
    return logit_kd(moved_student, knowledge.for_batch(image, labels), moved, temperature=temperature, background=background)


def _moved(values: Tensor, view: str, strength: float) -> Tensor:
    """Mirror or zoom values [batch, channel, *space] by picking cells: labels and masks stay what they are."""
    if view == "mirror":
        return values.flip(-1)
    for axis in range(2, values.ndim):
        extent = values.shape[axis]
        # Between the two middle cells of an even axis, so that a zoom does not shift the image.
        middle = (extent - 1) / 2
        places = ((torch.arange(extent, device=values.device) - middle) / (1 + strength) + middle).round().long()
        values = values.index_select(axis, places)
    return values
