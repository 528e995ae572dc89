"""A detector's own term: cells that hold a lesion's centre score high, all others low, those beside a centre less so."""

from __future__ import annotations

import torch
from torch.nn import functional

from medkd.distillation._cells import cells_of, lesion_logits
from medkd.distillation._reduce import over_batch
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"labels"})
TASKS = frozenset({"detection"})
SOURCE = "penalty-reduced focal loss: CenterNet, Zhou et al. 2019 (1904.07850), after Lin et al. 2017 (1708.02002)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = False


def centre_focal(student: Trace, teacher: Knowledge | None, sample: Sample, *, focus: float = 2.0, mercy: float = 4.0) -> Scalar:
    """Return the focal loss of the centres of lesions, summed over cells and divided by the case's number of lesions (at least 1).

    Args:
        student: class logits [batch, classes, *cells], the first class the background.
        teacher: not used.
        sample: labels [batch, *space], whose components are the lesions; cases without any label (-1) do not count.
        focus: exponent that makes cells count less that are right already.
        mercy: exponent that makes cells count less the nearer they lie to a centre.
    """
    del teacher
    logits, cells = lesion_logits(student.logits), cells_of(sample, student.logits)
    score, hit = logits.sigmoid(), cells.heat == 1
    # log sigmoid of both signs stays exact where sigmoid rounds to 0 or 1.
    found = (1 - score) ** focus * -functional.logsigmoid(logits)
    wrong = (1 - cells.heat) ** mercy * score**focus * -functional.logsigmoid(-logits)
    values = torch.where(hit, found, wrong) * cells.valid[:, None]
    return over_batch(values.flatten(1).sum(1) / cells.counts.clamp_min(1), sample, cells.known)
