"""Phantom cases with a third class: cysts, smooth lesions that are darker than what is round them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from medkd.phantom.render import PhantomCases

#: Index of the class among those of a classification (benign, malignant, cyst), and of a segmentation (background, lesion, cyst).
CYST = 2


def with_cysts(cases: PhantomCases, *, paired: bool = False) -> PhantomCases:
    """Return the same cases, every third with a cyst in the place of its lesion; all else about them stays.

    Args:
        cases: one lesion each.
        paired: rows 2i and 2i + 1 are one case, with and without the marker.
    """
    rows = torch.arange(len(cases)) // (2 if paired else 1)
    cyst = rows % 3 == 2
    lesion = cases.lesion.clone()
    lesion[cyst, 5] = -lesion[cyst, 5]
    return replace(
        cases,
        label=torch.where(cyst, torch.full_like(cases.label, CYST), cases.label),
        lesion=lesion,
        lobes=torch.where(cyst[:, None, None], _without_amplitude(cases.lobes), cases.lobes),
        texture=cases.texture.masked_fill(cyst, 0.0),
    )


def _without_amplitude(lobes: Tensor) -> Tensor:
    return lobes * torch.tensor([1.0, 0.0, 1.0])


def mask_classes(masks: Tensor, cases: PhantomCases) -> Tensor:
    """Return lesion masks [n, *space] with 1 in lesions and 2 in cysts."""
    number = torch.where(cases.label == CYST, CYST, 1).to(masks.dtype)
    return masks * number.view(-1, *(1,) * (masks.ndim - 1))
