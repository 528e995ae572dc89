"""Would another training of the same network have shown the same map?"""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.measures.structural_similarity import structural_similarity

KIND, LEVEL = "repeated", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (-2.0, 2.0), ""
SOURCE = "repeatability, Arun et al. 2021 (2008.02766), less what maps of other cases have in common"
EMPTY = "NaN for a single case, a single training, or maps of zeros"


def repeatability(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the mean SSIM with the maps of other trainings of the same case, less that with their maps of the next case, [n].

    0: trainings agree no more about a case than about any two cases.

    Args:
        prediction: map of one training [n, *space].
        reference: maps of the other trainings, [n, trainings, *space].
        spacing_mm: not used.
    """
    del spacing_mm
    if len(prediction) < 2 or reference.shape[1] == 0:
        return torch.full((len(prediction),), float("nan"), dtype=torch.double)
    others = reference.unbind(1)
    same = torch.stack([structural_similarity(prediction, other) for other in others]).mean(0)
    return same - torch.stack([structural_similarity(prediction, other.roll(1, 0)) for other in others]).mean(0)
