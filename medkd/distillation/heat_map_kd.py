"""Soft labels of a detector: each cell's score follows the teacher's, lesion class by lesion class."""

from __future__ import annotations

from torch.nn import functional

from data_contracts import KnowledgeError
from medkd.attribution._grid import averaged
from medkd.distillation._cells import lesion_logits
from medkd.distillation._reduce import over_batch, require_teacher
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher"})
TASKS = frozenset({"detection"})
SOURCE = "Hinton et al. 2015 (1503.02531), Bernoulli per class as in binary_kd; dense heads: Chen et al. 2017 (NeurIPS, learning efficient object detection models)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True


def heat_map_kd(student: Trace, teacher: Knowledge | None, sample: Sample, *, temperature: float = 1.0) -> Scalar:
    """Return T^2 KL(Bernoulli(teacher) || Bernoulli(student)), summed over cells and divided by the teacher's expected number of hits (at least 1).

    The sum, and not the mean: nearly all cells are background on which both agree, and a mean would say that nothing is left to learn.

    Args:
        student: class logits [batch, classes, *cells].
        teacher: its logits, of the same grid.
        sample: cells that were not measured do not count.
        temperature: T.

    Raises:
        KnowledgeError: ``TAP_SHAPES`` when the grids differ.
    """
    wanted = require_teacher(teacher, "heat_map_kd").logits()
    if wanted.shape != student.logits.shape:
        raise KnowledgeError(
            "TAP_SHAPES",
            f"expected detectors of one stride, got cells {tuple(student.logits.shape[1:])} of the student and {tuple(wanted.shape[1:])} of the teacher",
        )
    expected, found = lesion_logits(wanted) / temperature, lesion_logits(student.logits) / temperature
    yes = expected.sigmoid() * (functional.logsigmoid(expected) - functional.logsigmoid(found))
    no = (-expected).sigmoid() * (functional.logsigmoid(-expected) - functional.logsigmoid(-found))
    values = yes + no
    if sample.valid_mask is not None:
        values = values * (averaged(sample.valid_mask[:, None].float(), list(values.shape[2:])) > 0.5)
    hits = lesion_logits(wanted).sigmoid().flatten(1).sum(1).clamp_min(1)
    return temperature**2 * over_batch(values.flatten(1).sum(1) / hits, sample)
