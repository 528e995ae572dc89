"""How concentrated is a map? 0: every voxel carries as much; towards 1: few carry all."""

from __future__ import annotations

from torch import Tensor

from medkd.measures._order import order_of

KIND, LEVEL = "complexity", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "sparseness, Chalasani et al. 2020 (1810.06583); Gini 1912"
EMPTY = "NaN for a map of zeros"


def gini(prediction: Tensor, reference: Tensor | None = None, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the Gini index of |map|, per case, [n].

    Args:
        prediction: map [n, *space].
        reference: not used.
        spacing_mm: not used.
    """
    del reference, spacing_mm
    return order_of(prediction).gini
