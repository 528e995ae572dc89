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
    # Ascending magnitudes of either sign. Gini is the mean difference of all pairs over twice the mean: pairs of one sign by their ranks,
    # pairs of both by one look-up of where each of the shorter list would lie in the longer.
    lists = (values[: count - negative].flip(0), values[count - negative :].neg())
    few, many = (part.contiguous() for part in sorted(lists, key=len))
    below = torch.cat([torch.zeros(1, dtype=torch.double), many.cumsum(0, dtype=torch.double)])
    all_few, all_many = few.sum(dtype=torch.double), below[-1]
    if float(all_few + all_many) == 0:
        return torch.tensor(float("nan"), dtype=torch.double)
    places = torch.searchsorted(many, few)
    between = ((2 * places - len(many)).double() * few.double()).sum() + len(few) * all_many - 2 * below[places].sum()
    apart = between + _differences(few, all_few) + _differences(many, all_many)
    return apart / (count * (all_few + all_many))


def _differences(ascending: Tensor, total: Tensor) -> Tensor:
    """Return the sum of the differences of all pairs of one ascending list."""
    size = len(ascending)
    ranked = torch.dot(torch.arange(size, dtype=torch.double), ascending.double())
    return 2 * ranked - (size - 1) * total
