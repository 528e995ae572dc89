"""Overlap of the lesion with the map's bright part, cut where Otsu would."""

from __future__ import annotations

import torch
from skimage.filters import threshold_otsu
from torch import Tensor

KIND, LEVEL = "localisation", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "mIoU of CheXlocalize, Saporta et al. 2022; threshold: Otsu 1979 on the positive part, 256 bins"
EMPTY = "NaN for an empty mask or a map without positive values"


def otsu_iou(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return intersection over union of the mask and the voxels above Otsu's threshold of the rectified map, per case, [n].

    Args:
        prediction: map [n, *space]; negative values count as zero.
        reference: mask [n, *space].
        spacing_mm: not used.
    """
    del spacing_mm
    found = torch.full((len(prediction),), float("nan"), dtype=torch.double)
    for case, (values, mask) in enumerate(zip(prediction.detach().clamp_min(0).cpu(), reference.cpu() > 0, strict=True)):
        if bool(mask.any()) and float(values.max()) > 0:
            bright = values > float(threshold_otsu(values.numpy()))
            found[case] = (bright & mask).sum().double() / (bright | mask).sum()
    return found
