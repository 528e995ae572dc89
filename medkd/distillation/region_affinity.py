"""How the regions of a case relate to one another: where the teacher is sure of a class and where it is in doubt."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medkd.attribution._grid import averaged
from medkd.distillation._reduce import common_grid, layer_pair, over_batch, require_teacher
from medkd.knowledge.interface import LAST, Knowledge
from medkd.knowledge.targets import answer_of
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "features"})
TASKS = frozenset({"segmentation"})
SOURCE = "regional affinity, EMKD, Qin et al. TMI 2021 (2108.09987), for any number of classes: sure and doubtful part of each, centred"
RANGE = (0.0, 4.0)
MINIMUM_AT_TEACHER = True
_TINY = 1e-6


def region_affinity(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    grid: int = 16,
    layer: str = LAST,
    teacher_layer: str = LAST,
) -> Scalar:
    """Return the mean over pairs of regions of (cos(m_i, m_j) of the student - that of the teacher)^2, in [0, 4].

    Regions are where the teacher answers a class, in two parts: where its margin is above the mean margin of that class in the case, and
    where it is below. m is the mean feature of a region less the mean over all regions of the case. Features behind a rectifier all point
    into one corner, so that without centring every cosine is close to 1; two regions alone would, centred, always give -1, hence the parts.

    Args:
        student: trace with its layer tapped.
        teacher: gives its logits and its features, of any width.
        sample: weights and valid mask. Cases with fewer than three regions do not count.
        grid: features are averaged to at most this many cells along each axis.
        layer: the student's layer.
        teacher_layer: the teacher's.
    """
    student_features, teacher_features = layer_pair(student, teacher, "region_affinity", (layer, teacher_layer))
    regions = _regions(require_teacher(teacher, "region_affinity").logits(), sample.valid_mask)
    cells = common_grid(student_features, teacher_features, grid)
    shares = averaged(regions, [min(a, b) for a, b in zip(cells, regions.shape[2:], strict=True)]).flatten(2)
    occurs = shares.sum(2) > _TINY
    gap = (
        _affinity(averaged(student_features, cells), shares, occurs) - _affinity(averaged(teacher_features, cells), shares, occurs)
    ).square()
    pairs = (occurs[:, :, None] & occurs[:, None]) & ~torch.eye(occurs.shape[1], dtype=torch.bool, device=occurs.device)
    value = (gap * pairs).flatten(1).sum(1) / pairs.flatten(1).sum(1).clamp_min(1)
    return over_batch(value, sample, present=occurs.sum(1) >= 3)


def _regions(logits: Tensor, valid: Tensor | None) -> Tensor:
    """Return [batch, 2 * classes, *space]: where the teacher is sure of each class, then where it is in doubt."""
    answer = functional.one_hot(answer_of(logits), logits.shape[1]).movedim(-1, 1).to(torch.float32)
    inside = answer if valid is None else answer * valid[:, None].to(answer)
    top = logits.float().topk(2, dim=1).values
    margin = (top[:, 0] - top[:, 1])[:, None]
    space = tuple(range(2, logits.ndim))
    mean = (margin * inside).sum(space, keepdim=True) / inside.sum(space, keepdim=True).clamp_min(_TINY)
    sure = inside * (margin >= mean)
    return torch.cat([sure, inside - sure], dim=1)


def _affinity(features: Tensor, shares: Tensor, occurs: Tensor) -> Tensor:
    """Return [batch, regions, regions] cosines of the centred mean features of regions; regions that are not there give 0."""
    # Autocast would make the products bf16, whose rounding is larger than what is compared.
    with torch.autocast(features.device.type, enabled=False):
        sums = shares @ features.flatten(2).transpose(1, 2)
        means = sums / shares.sum(2, keepdim=True).clamp_min(_TINY)
        present = occurs[..., None].to(means)
        centre = (means * present).sum(1, keepdim=True) / present.sum(1, keepdim=True).clamp_min(1)
        unit = functional.normalize((means - centre) * present, dim=2)
        return unit @ unit.transpose(1, 2)
