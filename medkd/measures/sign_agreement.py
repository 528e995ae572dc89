"""Do two maps agree on what speaks for and what against?"""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "agreement", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "sign agreement of feature attributions, Krishna et al. 2022 (2202.01602), weighted by the reference's magnitude"
EMPTY = "NaN where the reference is zero everywhere"


def sign_agreement(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the share of the reference's absolute mass in voxels where both maps have the same sign, per case, [n]; .5 by chance.

    Args:
        prediction: the student's map [n, *space].
        reference: the teacher's map of the same target.
        spacing_mm: not used.
    """
    del spacing_mm
    mass = reference.detach().double().abs().flatten(1)
    same = prediction.sign().flatten(1) == reference.sign().flatten(1)
    total = mass.sum(1)
    return torch.where(total > 0, (mass * same).sum(1) / total.clamp_min(1e-300), torch.full_like(total, float("nan")))
