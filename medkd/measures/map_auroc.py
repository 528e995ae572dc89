"""Does a voxel of the lesion rank above one outside it?"""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.measures._order import order_of

KIND, LEVEL = "localisation", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "area under the ROC curve of voxels, Cong et al. 2018 (1803.03391); Mann & Whitney 1947"
EMPTY = "NaN for an empty mask or one that holds every voxel"


def map_auroc(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the chance that a voxel drawn from the mask has a larger value than one drawn from outside, ties counting half, per case, [n].

    Chance is one half whatever the lesion's size: read it beside ``map_auprc``, which rare lesions do not flatter.

    Args:
        prediction: map [n, *space]; its sign counts.
        reference: mask [n, *space].
        spacing_mm: not used.
    """
    del spacing_mm
    order, inside = order_of(prediction), (reference > 0).flatten(1)
    hits = inside.gather(1, order.places)
    return torch.stack([_case(values, hit) for values, hit in zip(order.values, hits, strict=True)])


def _case(values: Tensor, hit: Tensor) -> Tensor:
    voxels, size = len(values), int(hit.sum())
    if size in (0, voxels):
        return torch.tensor(float("nan"), dtype=torch.double)
    at = hit.nonzero()[:, 0]
    if bool((values[1:] == values[:-1]).any()):
        _, group, counts = values.unique_consecutive(return_inverse=True, return_counts=True)
        last = counts.cumsum(0)
        places = (last - (counts + 1) / 2.0).double()[group[at]]
    else:
        places = at.double()
    # Voxels outside that rank above one inside: its place less those of the inside that precede it.
    ahead: Tensor = (places.sum() - size * (size - 1) / 2) / (size * (voxels - size))
    return 1 - ahead.cpu()
