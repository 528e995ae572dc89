"""Does the map depend on what the network learned?"""

from __future__ import annotations

from torch import Tensor

from medkd.measures._rank import average_ranks, correlation

KIND, LEVEL = "sanity", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, 1.0), ""
SOURCE = "parameter randomisation test, Adebayo et al. 2018 (1810.03292)"
EMPTY = "NaN when one map is constant"
#: A median similarity above this fails the check: the map then says more of the image than of the network.
FAILS_ABOVE = 0.5


def model_parameter_randomisation(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return |Spearman| between the map of the trained network and the map after its weights were drawn anew, per case, [n].

    Args:
        prediction: map of the trained network [n, *space].
        reference: map of the same explainer and target with random weights.
        spacing_mm: not used.
    """
    del spacing_mm
    return correlation(average_ranks(prediction.flatten(1)), average_ranks(reference.flatten(1))).abs()
