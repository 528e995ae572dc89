"""Lesions of a segmented volume (:mod:`medkd.inference.components`) as tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from data_contracts import Geometry, Lesion
from medkd.inference.components import SMALLEST, find_components


def find_lesions(
    mask: Tensor, geometry: Geometry | None, *, class_name: str = "lesion", smallest: int = SMALLEST
) -> tuple[tuple[Lesion, Tensor], ...]:
    """Return the connected components of a mask [slice, row, column] with their own masks, largest first; see :func:`find_components`."""
    found = find_components(mask.numpy(), geometry, class_name=class_name, smallest=smallest)
    return tuple((lesion, torch.from_numpy(own)) for lesion, own in found)
