"""Deleting and inserting pixels in the order a map ranks them, shared by both curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from medkd.measures._order import order_of


@dataclass(frozen=True)
class Perturbation:
    """What a faithfulness measure needs of the network.

    Attributes:
        score: images [m, channel, *space] and the case each belongs to [m] -> the explained probability [m].
        image: [n, channel, *space].
        baseline: what a deleted pixel becomes, same shape.
        points: points of the curve, on an even grid of pixel shares from 0 to 1.
        mask: the lesion, [n, *space]; None where there is none.
    """

    score: Callable[[Tensor, Tensor], Tensor]
    image: Tensor
    baseline: Tensor
    points: int = 32
    mask: Tensor | None = None

    def falls(self, case: int, hidden: Tensor) -> Tensor:
        """Return how far a case's score falls when the voxels of each mask, bool [m, *space], become the baseline, float64 [m]."""
        image, baseline = self.image[case], self.baseline[case]
        images = torch.cat([image[None], torch.where(hidden[:, None].to(image.device), baseline, image)])
        scores = self.score(images, torch.full((len(images),), case)).double()
        return scores[0] - scores[1:]


#: Shares of the highest pixels that comprehensiveness and sufficiency look at.
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


def random_subsets(space: Sequence[int], subsets: int, share: float, *, seed: int = 0) -> Tensor:
    """Return random subsets of the voxels, bool [subsets, *space], each of the same share of them."""
    voxels = math.prod(space)
    order = torch.rand(subsets, voxels, generator=torch.Generator().manual_seed(seed)).argsort(1).argsort(1)
    return (order < max(1, round(share * voxels))).reshape(subsets, *space)


def over_subsets(attribution: Tensor, perturbation: Perturbation, subsets: int, share: float) -> tuple[Tensor, Tensor]:
    """Return what random subsets of the voxels add up to in a map, and how far the score falls without each: float64 [n, subsets] both."""
    hidden = random_subsets(attribution.shape[1:], subsets, share)
    sums = attribution.detach().double().flatten(1) @ hidden.flatten(1).double().T
    return sums, torch.stack([perturbation.falls(case, hidden) for case in range(len(attribution))])


def blurred(image: Tensor, sigma_px: float = 5.0) -> Tensor:
    """Return the image [n, channel, *space] blurred by a Gaussian: a baseline that removes detail and keeps brightness."""
    reach = int(3 * sigma_px)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device) / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, -1)
    found = image
    for axis in range(2, image.ndim):
        moved = found.movedim(axis, -1)
        flat = functional.pad(moved.reshape(-1, 1, moved.shape[-1]), (reach, reach), mode="replicate")
        found = functional.conv1d(flat, kernel).reshape(moved.shape).movedim(-1, axis)
    return found


def curve(attribution: Tensor, perturbation: Perturbation, *, insert: bool) -> Tensor:
    """Return the score as ever more of the highest ranked pixels are deleted (or inserted), [n, points].

    One descending sort per case; ties keep the order of voxels.
    """
    shares = torch.linspace(0, 1, perturbation.points, dtype=torch.double).tolist()
    return scores_at(attribution, perturbation, shares, insert=insert)


def scores_at(attribution: Tensor, perturbation: Perturbation, shares: Sequence[float], *, insert: bool) -> Tensor:
    """Return the scores with these shares of the highest ranked pixels deleted (or nothing but them inserted), float64 [n, shares]."""
    order = order_of(attribution)
    n, voxels = order.places.shape
    place = torch.empty_like(order.places).scatter_(1, order.places, torch.arange(voxels, device=order.places.device).expand(n, -1))
    counts = torch.tensor([round(share * voxels) for share in shares], device=place.device)
    scores = torch.empty(n, len(counts), dtype=torch.double)
    for case in range(n):
        touched = (place[case][None] < counts[:, None]).view(len(counts), 1, *attribution.shape[1:])
        kept = touched if insert else ~touched
        images = torch.where(kept, perturbation.image[case], perturbation.baseline[case])
        scores[case] = perturbation.score(images, torch.full((len(counts),), case)).double()
    return scores


def area(scores: Tensor) -> Tensor:
    """Return the trapezoid area under curves over [0, 1]: [n, points] -> [n]."""
    return torch.trapezoid(scores, dx=1.0 / (scores.shape[1] - 1), dim=1)
