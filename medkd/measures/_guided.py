"""A teacher's map and the lesion that both look at."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Guided:
    """What a student's map is compared with.

    Attributes:
        teacher: map [n, *space].
        mask: lesion [n, *space].
    """

    teacher: Tensor
    mask: Tensor
