"""Do two maps agree on where their strongest evidence is?"""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.measures._order import order_of

KIND, LEVEL = "agreement", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "top-k intersection over union, after Ghorbani et al. 2019 (1710.10547)"
EMPTY = "always defined"


def top_k_intersection(
    prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None, share: float = 0.05
) -> Tensor:
    """Return intersection over union of the highest voxels of both maps, per case, [n]; share / (2 - share) by chance.

    Args:
        prediction: the student's map [n, *space].
        reference: the teacher's map of the same target.
        spacing_mm: not used.
        share: of the voxels that are taken of each, at least one.
    """
    del spacing_mm
    voxels = prediction[0].numel()
    count = max(1, round(share * voxels))
    both = torch.zeros(len(prediction), voxels, dtype=torch.int64, device=prediction.device)
    for one in (prediction, reference):
        both.scatter_add_(1, order_of(one).places[:, :count], torch.ones(len(one), count, dtype=torch.int64, device=both.device))
    return (both == 2).sum(1).double() / (both > 0).sum(1)
