"""How far apart are the places where two maps are highest?"""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "agreement", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, float("inf")), "mm"
SOURCE = "own"
EMPTY = "NaN where one map is constant"


def peak_distance(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the distance between the largest values of both maps, per case, [n], mm (voxels without a spacing).

    Of several largest values the first counts.

    Args:
        prediction: the student's map [n, *space].
        reference: the teacher's map of the same target.
        spacing_mm: voxel spacing in the order of ``space``.
    """
    space = prediction.shape[1:]
    step = torch.tensor(spacing_mm or (1.0,) * len(space), dtype=torch.double)
    peaks = [torch.stack(torch.unravel_index(one.detach().flatten(1).argmax(1).cpu(), space), 1) * step for one in (prediction, reference)]
    found = (peaks[0] - peaks[1]).norm(dim=1)
    flat = [one.detach().flatten(1).cpu() for one in (prediction, reference)]
    varied = torch.stack([one.amax(1) > one.amin(1) for one in flat]).all(0)
    return torch.where(varied, found, torch.full_like(found, float("nan")))
