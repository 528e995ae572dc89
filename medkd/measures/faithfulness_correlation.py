"""Do the values say how much the answer falls? Correlation over random subsets of pixels."""

from __future__ import annotations

from torch import Tensor

from medkd.measures._perturb import Perturbation, over_subsets
from medkd.measures._rank import correlation

KIND, LEVEL = "faithfulness", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (-1.0, 1.0), ""
SOURCE = "faithfulness correlation, Bhatt et al. 2020 (2005.00631)"
EMPTY = "NaN where falls or sums are all the same"


def faithfulness_correlation(
    prediction: Tensor, reference: Perturbation, *, spacing_mm: tuple[float, ...] | None = None, subsets: int = 64, share: float = 0.2
) -> Tensor:
    """Return Pearson's correlation, over random subsets of pixels, of the sum of their values and the fall of the score, per case, [n].

    Args:
        prediction: map [n, *space].
        reference: network, image and baseline.
        spacing_mm: not used.
        subsets: drawn, the same for every case.
        share: of the pixels in a subset.
    """
    del spacing_mm
    return correlation(*over_subsets(prediction, reference, subsets, share))
