"""Faithfulness: does the answer fall as the map's pixels are deleted?"""

from __future__ import annotations

from torch import Tensor

from medkd.measures._perturb import Perturbation, area, curve

KIND, LEVEL = "faithfulness", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, 1.0), ""
SOURCE = "deletion curve, Petsiuk et al. 2018 (1806.07421)"
EMPTY = "always defined"


def deletion(prediction: Tensor, reference: Perturbation, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the area under the explained probability while pixels are deleted, highest ranked first, per case, [n].

    Args:
        prediction: map [n, *space].
        reference: network, image and baseline.
        spacing_mm: not used.
    """
    del spacing_mm
    return area(curve(prediction, reference, insert=False))
