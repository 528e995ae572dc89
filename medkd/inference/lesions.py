"""Lesions of a segmented volume (:mod:`medkd.inference.components`) as tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from data_contracts import Geometry, Lesion
from medkd.inference.components import SMALLEST, find_components


def find_lesions(
    mask: Tensor,
    geometry: Geometry | None,
    *,
    class_name: str = "lesion",
    smallest: int = SMALLEST,
    wanted: Callable[[Tensor], bool] | None = None,
) -> tuple[tuple[Lesion, Tensor], ...]:
    """Return the connected components of a mask [slice, row, column] with their own masks, largest first; see :func:`find_components`."""
    kept = None if wanted is None else lambda own: wanted(torch.from_numpy(own))
    found = find_components(mask.numpy(), geometry, class_name=class_name, smallest=smallest, wanted=kept)
    return tuple((lesion, torch.from_numpy(own)) for lesion, own in found)
