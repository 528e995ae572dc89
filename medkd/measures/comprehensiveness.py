"""Is what the map points at needed? How far the answer falls without it."""

from __future__ import annotations

from torch import Tensor

from medkd.measures._perturb import SHARES, Perturbation, scores_at

KIND, LEVEL = "faithfulness", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (-1.0, 1.0), ""
SOURCE = "ERASER, DeYoung et al. 2020 (1911.03429); shares 1, 5, 10, 20, 50 %"
EMPTY = "always defined"


def comprehensiveness(prediction: Tensor, reference: Perturbation, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return score(image) less the score without the highest pixels, mean over the shares, per case, [n].

    Args:
        prediction: map [n, *space].
        reference: network, image and baseline.
        spacing_mm: not used.
    """
    del spacing_mm
    scores = scores_at(prediction, reference, (0.0, *SHARES), insert=False)
    return (scores[:, :1] - scores[:, 1:]).mean(1)
