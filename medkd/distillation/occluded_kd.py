"""Soft labels of occluded images: what the teacher says when parts of the image are hidden, as plain extra samples."""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.distillation._occlude import hide, occlusion_patterns
from medkd.distillation._reduce import require_teacher
from medkd.distillation.logit_kd import logit_kd
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace, running_statistics
from medkd.trace import trace as run
from medkd.types import Number, Scalar

NEEDS = frozenset({"teacher", "views"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "own; the control of response_matching: the same images, asked without looking at what changed"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True
LABELS_OF_VIEWS = True


def occluded_kd(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    patterns: int = 2,
    cells: int = 4,
    hidden: float = 0.25,
    seed: int = 0,
    temperature: Number = 4.0,
    background: float = 1.0,
) -> Scalar:
    """Return ``logit_kd`` on the images with parts hidden, mean over the patterns.

    The patterns are those of ``response_matching`` with the same options, and the student runs with running statistics as there: the two
    terms differ in nothing but what is compared.

    Args:
        student: trace whose model is asked again, ``patterns`` images a case.
        teacher: answers about the hidden images (``for_batch``).
        sample: weights and valid mask.
        patterns: how many ways to hide.
        cells: the image is divided into this many cells along each axis.
        hidden: share of the cells that a pattern hides.
        seed: of the patterns.
        temperature: as in ``logit_kd``.
        background: as in ``logit_kd``.
    """
    knowledge, image = require_teacher(teacher, "occluded_kd"), student.image
    masks = occlusion_patterns(image.ndim - 2, patterns, cells, hidden, seed).to(image.device)
    values: list[Tensor] = []
    for mask in masks:
        view = hide(image, mask)
        with running_statistics(student.model):
            hidden_student = run(student.model, view)
        answers = knowledge.for_batch(view, sample.labels)  # what is hidden stays where it was
        values.append(logit_kd(hidden_student, answers, sample, temperature=temperature, background=background))
    return torch.stack(values).mean()
