"""Maps that know nothing of the network: what an explainer must beat to have said anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

#: A Gaussian's deviation as a share of each axis.
WIDTH = 0.25


def random_map(images: Tensor, *, seed: int = 0) -> Tensor:
    """Return noise, [n, *space], another one for each case: chance."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(images.shape[0], *images.shape[2:], generator=generator).to(images)


def edge_map(images: Tensor) -> Tensor:
    """Return the magnitude of the gradient of the image smoothed over three voxels, [n, *space] (Adebayo et al. 2018's edge detector)."""
    space = images.ndim - 2
    pool = functional.avg_pool2d if space == 2 else functional.avg_pool3d
    padded = functional.pad(images.mean(1, keepdim=True), (1,) * (2 * space), mode="replicate")
    smooth = pool(padded, 3, 1)[:, 0]
    slopes = torch.gradient(smooth, dim=tuple(range(1, space + 1)))
    found: Tensor = torch.stack(slopes).square().sum(0).sqrt()
    return found


def centre_map(images: Tensor) -> Tensor:
    """Return a Gaussian in the middle of the image, [n, *space]: lesions are often there."""
    found = torch.ones(images.shape[2:], device=images.device)
    for axis, extent in enumerate(images.shape[2:]):
        place = (torch.arange(extent, device=images.device) - (extent - 1) / 2) / (WIDTH * extent)
        found = found * torch.exp(-0.5 * place.square()).view(*(-1 if at == axis else 1 for at in range(images.ndim - 2)))
    return found.expand(images.shape[0], *images.shape[2:]).clone()


#: Shown beside the explainers in every table.
BASELINES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "baseline_random": random_map,
    "baseline_edges": edge_map,
    "baseline_centre": centre_map,
}
