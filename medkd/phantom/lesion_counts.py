"""Cases of the phantom with no lesion, one or several: what detectors are trained and judged by."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from medkd.phantom.render import CONTRAST, SIZE_PX, PhantomCases
from medkd.seeds import derive_seed

#: Lesions of one case are so far apart that their masks do not touch, pixels.
APART_PX = 18.0
_RADII, _CANDIDATES, _REACH_PX = (3.5, 6.5), 256, 17.0


def with_lesion_counts(cases: PhantomCases, counts: tuple[int, int], seed: int) -> PhantomCases:
    """Return the same cases with between ``counts[0]`` and ``counts[1]`` lesions each, drawn with equal chance.

    The number and the places of a case depend on (seed, its row) alone. A body that has no room left for a lesion gets fewer. Further lesions
    are smooth, smaller than the first, and of the cases' range of contrasts.

    Args:
        cases: of one lesion each.
        counts: least and largest number, at most 4.
        seed: of the cohort.
    """
    if counts == (1, 1):
        return cases
    drawn = [
        _draw(cases.lesion[row], counts, torch.Generator().manual_seed(derive_seed("lesions", seed, row))) for row in range(len(cases))
    ]
    present = torch.tensor([number > 0 for number, _ in drawn])
    contrast = torch.where(present, cases.lesion[:, 5], 0.0)
    radius = torch.where(present, cases.lesion[:, 2], 0.0)
    lesion = torch.cat([cases.lesion[:, :2], radius[:, None], cases.lesion[:, 3:5], contrast[:, None]], dim=1)
    return replace(
        cases, lesion=lesion, texture=torch.where(present, cases.texture, 0.0), more=torch.stack([further for _, further in drawn])
    )


def _draw(first: Tensor, counts: tuple[int, int], generator: torch.Generator) -> tuple[int, Tensor]:
    """Return how many lesions a case has, and the further ones [3, 6]."""

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator)

    number = int(torch.randint(counts[0], counts[1] + 1, (), generator=generator))
    # All is drawn whatever the number: a case's places do not change with its neighbours'.
    candidates = (SIZE_PX - 1) / 2 + between(-_REACH_PX, _REACH_PX, _CANDIDATES, 2)
    shapes = torch.stack([between(*_RADII, 3), between(0.75, 1.0, 3), between(0, math.pi, 3), between(*CONTRAST, 3)], dim=1)
    further, taken = torch.zeros(3, 6), first[None, :2]
    for place in range(number - 1):
        away = torch.cdist(candidates, taken).amin(1)
        free = (away >= APART_PX).nonzero()
        if not len(free):
            break
        chosen = candidates[int(free[0])]
        further[place], taken = torch.cat([chosen, shapes[place]]), torch.cat([taken, chosen[None]])
    return number, further
