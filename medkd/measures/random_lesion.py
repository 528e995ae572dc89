"""Does the map depend on which lesion is asked about?"""

from __future__ import annotations

from torch import Tensor

from medkd.measures._rank import average_ranks, correlation

KIND, LEVEL = "sanity", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, 1.0), ""
SOURCE = "random logit test, Sixt et al. 2020 (1912.09818), with another lesion, or the same mask elsewhere, in the place of another class"
EMPTY = "NaN when one map is constant"


def random_lesion(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return |Spearman| between the map of a lesion and the map of another one, per case, [n].

    Args:
        prediction: map of the lesion [n, *space].
        reference: map of the same network and explainer for another lesion (or for its mask, moved).
        spacing_mm: not used.
    """
    del spacing_mm
    return correlation(average_ranks(prediction.flatten(1)), average_ranks(reference.flatten(1))).abs()
