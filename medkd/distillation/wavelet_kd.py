"""Edges and texture of features: their wavelet detail bands follow the teacher's, their coarse part is free."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_contracts import KnowledgeError
from medkd.attribution._grid import averaged
from medkd.distillation._reduce import matched_pair, over_batch
from medkd.knowledge.interface import LAST, Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"teacher", "features", "projector"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "detail bands of an orthonormal Haar transform, after DCD (2605.26382)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = True
_TINY = 1e-8


def wavelet_kd(
    student: Trace,
    teacher: Knowledge | None,
    sample: Sample,
    *,
    levels: int = 1,
    grid: int = 32,
    layer: str = LAST,
    teacher_layer: str = LAST,
    projector: nn.Module | None = None,
) -> Scalar:
    """Return the squared distance of the detail bands, summed over the levels, in units of the energy of the teacher's bands of the case.

    The detail bands of a Haar transform of L levels hold what is left of a block of 2^L cells when its mean is taken away; the transform is
    orthonormal, so that their squared distance is that of these remainders (Parseval).

    Args:
        student: trace with its layer tapped.
        teacher: gives its features.
        sample: weights of the cases.
        levels: L; an axis of fewer than 2^L cells is not transformed, and cells beyond the last whole block are averaged in.
        grid: features are averaged to at most this many cells along each axis, the same for both.
        layer: the student's layer.
        teacher_layer: the teacher's.
        projector: as in ``hint``.

    Raises:
        KnowledgeError: ``HINT_CHANNELS`` when the numbers of channels differ and there is no projector, ``DETAIL_GRID`` when the common
            grid has no block of that size.
    """
    student_features, teacher_features = matched_pair(student, teacher, "wavelet_kd", (layer, teacher_layer), projector)
    size = 2**levels
    extents = [min(grid, a, b) for a, b in zip(student_features.shape[2:], teacher_features.shape[2:], strict=True)]
    block = [size if extent >= size else 1 for extent in extents]
    if max(block) == 1:
        raise KnowledgeError("DETAIL_GRID", f"expected at least {size} cells along an axis for {levels} levels, got {extents}")
    # A Haar block is whole: cells beyond the last one are averaged in, for both networks alike.
    cells = [extent // along * along for extent, along in zip(extents, block, strict=True)]
    teacher_detail = _detail(averaged(teacher_features, cells), block)
    gap = _detail(averaged(student_features, cells), block) - teacher_detail
    # The teacher's bands are small where it is smooth: in their units the weight does not depend on the layer.
    scale = teacher_detail.square().flatten(1).mean(1).clamp_min(_TINY)
    return over_batch(gap.square().flatten(1).mean(1) / scale, sample)


def _detail(features: Tensor, block: list[int]) -> Tensor:
    """Return features [batch, features, *grid] less the mean of their block."""
    pool = {3: functional.avg_pool1d, 4: functional.avg_pool2d, 5: functional.avg_pool3d}[features.ndim]
    coarse = pool(features, block)
    for axis, along in enumerate(block, start=2):
        coarse = torch.repeat_interleave(coarse, along, dim=axis)
    return features - coarse
