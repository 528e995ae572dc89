"""Does the student look at the lesion as much as its teacher?"""

from __future__ import annotations

from torch import Tensor

from medkd.measures._guided import Guided
from medkd.measures.relevance_mass_accuracy import relevance_mass_accuracy

KIND, LEVEL = "guided", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, 1.0), ""
SOURCE = "own; mass as in Arras et al. 2022 (2003.07258)"
EMPTY = "NaN for an empty mask or a map of zeros"


def inside_mass_gap(prediction: Tensor, reference: Guided, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return |share of the student's map in the lesion - share of the teacher's|, per case, [n].

    Our own definition, not published elsewhere; each share is the relevance mass accuracy of Arras et al. 2022.

    Args:
        prediction: the student's map [n, *space].
        reference: the teacher's map and the lesion.
        spacing_mm: not used.
    """
    del spacing_mm
    return (relevance_mass_accuracy(prediction, reference.mask) - relevance_mass_accuracy(reference.teacher, reference.mask)).abs()
