"""Do two maps look alike? Structural similarity, in two or three dimensions."""

from __future__ import annotations

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
    found = metric._compute_tensor(*scaled)[:, 0].double()
    return torch.where((most[0] > 0) & (most[1] > 0), found, torch.full_like(found, float("nan")))
