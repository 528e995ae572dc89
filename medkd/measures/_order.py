"""One descending sort of a map, shared by every measure that ranks voxels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary


@dataclass(frozen=True)
class Order:
    """Voxels of each case from the largest value to the least.

    Attributes:
        values: [n, voxels], descending.
        places: int64 [n, voxels], where each value lies in the flattened map; ties keep the order of voxels.
    """

    values: Tensor
    places: Tensor

    @cached_property
    def gini(self) -> Tensor:
        """Return the Gini index of the magnitudes, float64 [n]; NaN for a map of zeros. Positive and negative values are merged, not sorted."""
        return torch.stack([_gini(row) for row in self.values])


_KEPT: WeakIdKeyDictionary = WeakIdKeyDictionary()


def order_of(prediction: Tensor) -> Order:
    """Return the order of a map's voxels, [n, *space]; made once for a tensor that does not change."""
    version, known = prediction._version, _KEPT.get(prediction)
    if known is not None and known[0] == version:
        kept: Order = known[1]
        return kept
    values, places = prediction.detach().flatten(1).sort(dim=1, descending=True, stable=True)
    found = Order(values, places)
    _KEPT[prediction] = (version, found)
    return found


def _gini(values: Tensor) -> Tensor:
    """Return the Gini index of |values| (descending, signed), float64."""
    count = len(values)
    negative = int((values < 0).sum())
    # Ascending magnitudes of either sign.
    above, below = values[: count - negative].flip(0).contiguous(), values[count - negative :].neg().contiguous()
    total = above.sum(dtype=torch.double) + below.sum(dtype=torch.double)
    if float(total) == 0:
        return torch.tensor(float("nan"), dtype=torch.double)
    ranked = torch.zeros((), dtype=torch.double)
    for own, other, side in ((above, below, "left"), (below, above, "right")):
        ranks = torch.arange(1, len(own) + 1) + torch.searchsorted(other, own, right=side == "right")
        ranked = ranked + (ranks.double() * own.double()).sum()
    return 2 * ranked / (count * total) - (count + 1) / count
