"""Marks that were found taken out of pictures, and the control: as much painted over where no mark is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medkd.audit.put_in import AuditCase
from medkd.volumes.burnt_in import paint_over


@dataclass(frozen=True)
class TakenOut:
    """A picture without its marks, and its control.

    Attributes:
        image: float32 [row, column] without the marks.
        control: float32 [row, column] with the marks, and as much painted over elsewhere.
        place: bool [row, column] where the marks were.
        energy: of the control's change as a multiple of the removal's.
    """

    image: Tensor
    control: Tensor
    place: Tensor
    energy: float


def take_out(case: AuditCase, painted: Tensor) -> TakenOut:
    """Return a picture without its marks.

    Args:
        case: with them.
        painted: the same picture imported without them.
    """
    place = (painted - case.image).abs() > 1e-6
    # Mirrored about the middle of the real pixels: as large and as far from the border.
    columns = np.flatnonzero(case.valid.any(0).numpy())
    mirrored = torch.zeros_like(place)
    inner = slice(int(columns[0]), int(columns[-1]) + 1)
    mirrored[:, inner] = place[:, inner].flip(1)
    elsewhere = (mirrored & ~place & case.valid).numpy()
    low, high = case.value_range()
    grey = ((case.image - low) / (high - low) * 255).round().clamp(0, 255).numpy().astype(np.uint8)
    filled = torch.from_numpy(paint_over(grey, elsewhere).astype(np.float32)) / 255 * (high - low) + low
    control = torch.where(torch.from_numpy(elsewhere), filled, case.image)
    energy = float((control - case.image).square().sum()) / max(float((painted - case.image).square().sum()), 1e-12)
    return TakenOut(painted, control, place, energy)
