"""What changes when parts of the image are hidden: the student's answer reacts as the teacher's does."""

from __future__ import annotations

import torch

from medkd.distillation._occlude import hide, occlusion_patterns
from medkd.distillation._reduce import over_batch, over_voxels, require_teacher
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace, running_statistics
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "responses"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "own; perturbation-based explanation in the loss, cf. RISE (Petsiuk et al. 2018) and KernelSHAP (Lundberg and Lee 2017)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True


def response_matching(
    student: Trace, teacher: Knowledge | None, sample: Sample, *, patterns: int = 2, cells: int = 4, hidden: float = 0.25, seed: int = 0
) -> Scalar:
    """Return the squared gap of responses, response = logits(image) - logits(image with parts hidden), mean over classes.

    No double backward: an occlusion explains by asking again. The patterns are drawn once from ``seed`` and are the same for every
    batch; what is hidden gets the image's own mean. Student and teacher see the same images, both with running statistics, so that the
    gap is never one of batch statistics.

    Args:
        student: trace whose model is asked again, 1 + ``patterns`` images a case.
        teacher: gives its own change (``response``).
        sample: weights and valid mask.
        patterns: how many ways to hide.
        cells: the image is divided into this many cells along each axis.
        hidden: share of the cells that a pattern hides.
        seed: of the patterns.
    """
    knowledge = require_teacher(teacher, "response_matching")
    image, n = student.image, len(student.image)
    masks = occlusion_patterns(image.ndim - 2, patterns, cells, hidden, seed).to(image.device)
    # All patterns go through with the image itself: one pass, and one set of running statistics.
    views = [hide(image, mask) for mask in masks]
    with running_statistics(student.model):
        student_logits = student.model(torch.cat([image, *views])).float()
    answers = student_logits.reshape(1 + patterns, n, *student_logits.shape[1:])
    teacher_responses = torch.stack([knowledge.response(view).float() for view in views])
    squared = (answers[:1] - answers[1:] - teacher_responses).square().mean(2).mean(0)
    return over_batch(squared if squared.ndim == 1 else over_voxels(squared, sample.valid_mask), sample)
