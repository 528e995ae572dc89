"""Deleting and inserting pixels in the order a map ranks them, shared by both curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Perturbation:
    """What a faithfulness measure needs of the network.

    Attributes:
        score: images [m, channel, *space] and the case each belongs to [m] -> the explained probability [m].
        image: [n, channel, *space].
        baseline: what a deleted pixel becomes, same shape.
        points: points of the curve, on an even grid of pixel shares from 0 to 1.
    """

    score: Callable[[Tensor, Tensor], Tensor]
    image: Tensor
    baseline: Tensor
    points: int = 32


def blurred(image: Tensor, sigma_px: float = 5.0) -> Tensor:
    """Return the image [n, channel, row, column] blurred by a Gaussian: a baseline that removes detail and keeps brightness."""
    reach = int(3 * sigma_px)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=image.dtype) / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    n, channels, *space = image.shape
    padded = functional.pad(image.reshape(n * channels, 1, *space), (reach,) * 4, mode="replicate")
    rows = functional.conv2d(padded, kernel.view(1, 1, -1, 1))
    return functional.conv2d(rows, kernel.view(1, 1, 1, -1)).reshape(image.shape)


def curve(attribution: Tensor, perturbation: Perturbation, *, insert: bool) -> Tensor:
    """Return the score as ever more of the highest ranked pixels are deleted (or inserted), [n, points].

    One descending sort per case; ties keep the order of voxels.
    """
    n, points = len(attribution), perturbation.points
    place = attribution.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    shares = torch.linspace(0, 1, points, dtype=torch.double)
    scores = torch.empty(n, points, dtype=torch.double)
    for case in range(n):
        counts = (shares * place.shape[1]).round()
        touched = (place[case][None] < counts[:, None]).view(points, 1, *attribution.shape[1:])
        kept = touched if insert else ~touched
        images = torch.where(kept, perturbation.image[case], perturbation.baseline[case])
        scores[case] = perturbation.score(images, torch.full((points,), case)).double()
    return scores


def area(scores: Tensor) -> Tensor:
    """Return the trapezoid area under curves over [0, 1]: [n, points] -> [n]."""
    return torch.trapezoid(scores, dx=1.0 / (scores.shape[1] - 1), dim=1)
