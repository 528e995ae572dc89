"""What does a measure lose on images of another kind?"""

from __future__ import annotations

from torch import Tensor

KIND, LEVEL = "shift", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (float("-inf"), float("inf")), "that of the measure"
SOURCE = "own: every measure of a map is read beside its value on a shifted set"
EMPTY = "NaN where the measure is undefined on either set"


def off_distribution(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the value of a measure on the shifted image less its value on the original, per case, [n].

    Args:
        prediction: values of any measure on the shifted images, [n].
        reference: of the same measure, network and cases on the original images.
        spacing_mm: not used.
    """
    del spacing_mm
    return prediction.double() - reference.double()
