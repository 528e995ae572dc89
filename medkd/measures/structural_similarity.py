"""Do two maps look alike? Structural similarity, in two or three dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

KIND, LEVEL = "agreement", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (-1.0, 1.0), ""
SOURCE = "SSIM, Wang et al. 2004; monai.metrics; maps scaled to a largest magnitude of 1"
EMPTY = "NaN where one map is zero everywhere"


def structural_similarity(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the SSIM of both maps, each divided by its largest magnitude (a range of 2), per case, [n].

    The Gaussian window has 11 voxels and a deviation of 1.5, smaller along axes that are shorter than it.

    Args:
        prediction: the student's map [n, *space].
        reference: the teacher's map of the same target.
        spacing_mm: not used.
    """
    del spacing_mm
    from monai.metrics.regression import SSIMMetric  # seconds to import: paid where maps are compared

    space = prediction.shape[1:]
    size = [min(11, extent - 1 + extent % 2) for extent in space]
    flat = [one.detach().double().flatten(1) for one in (prediction, reference)]
    most = [one.abs().amax(1) for one in flat]
    scaled = [(one / scale.clamp_min(1e-300)[:, None]).reshape(-1, 1, *space).float() for one, scale in zip(flat, most, strict=True)]
    metric = SSIMMetric(len(space), data_range=2.0, win_size=size, kernel_sigma=(1.5,) * len(space))
    # Where both maps are zero they are alike: only Gaussian windows that meet either of them have to be looked at.
    box = _reached(scaled[0].ne(0) | scaled[1].ne(0), size)
    found = metric._compute_tensor(*(one[(slice(None), slice(None), *box)] for one in scaled))[:, 0].double()
    looked = math.prod(part.stop - part.start - window + 1 for part, window in zip(box, size, strict=True))
    places = math.prod(extent - window + 1 for extent, window in zip(space, size, strict=True))
    if looked < places:
        found = 1 - (1 - found) * (looked / places)
    return torch.where((most[0] > 0) & (most[1] > 0), found, torch.full_like(found, float("nan")))


def _reached(there: Tensor, size: Sequence[int]) -> tuple[slice, ...]:
    """Return the box of all windows of a size that meet a voxel of any case [n, 1, *space]; of all voxels where there is none."""
    space, anywhere = there.shape[2:], there.any(dim=0)[0]
    places = [anywhere.movedim(axis, 0).flatten(1).any(1).nonzero()[:, 0] for axis in range(len(space))]
    if not len(places[0]):
        return tuple(slice(0, extent) for extent in space)
    return tuple(
        slice(max(0, int(found[0]) - window + 1), min(extent, int(found[-1]) + window))
        for found, window, extent in zip(places, size, space, strict=True)
    )
