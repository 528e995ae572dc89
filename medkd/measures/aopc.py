"""Area over the perturbation curve: how far does the answer fall, on average, while the map's pixels are deleted?"""

from __future__ import annotations

from torch import Tensor

from medkd.measures._perturb import Perturbation, curve

KIND, LEVEL = "faithfulness", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (-1.0, 1.0), ""
SOURCE = "Samek et al. 2017 (1509.06321)"
EMPTY = "always defined"


def aopc(prediction: Tensor, reference: Perturbation, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the mean over the curve's points of score(image) - score(k highest pixels deleted), per case, [n].

    Args:
        prediction: map [n, *space].
        reference: network, image and baseline.
        spacing_mm: not used.
    """
    del spacing_mm
    scores = curve(prediction, reference, insert=False)
    return (scores[:, :1] - scores).mean(1)
