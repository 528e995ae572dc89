"""The same anatomy, acquired otherwise: what a figure loses on it is read beside the figure."""

from __future__ import annotations

import torch
from torch import Tensor

from data_contracts import Shift


def shifted(images: Tensor, shift: Shift, *, seed: int = 0) -> Tensor:
    """Return images [n, channel, *space] of the same places under another acquisition; every structure stays where it is.

    ``noise`` adds Gaussian noise of deviation ``strength`` (the window of a network's input is 2 wide), ``blur`` is a Gaussian of deviation
    ``strength`` in voxels, ``gamma`` raises intensities, between 0 and 1 of each image's own range, to the power ``strength``.

    Args:
        images: input of a network.
        shift: what is changed and how much.
        seed: of the noise.
    """
    if shift.kind == "noise":
        return images + shift.strength * torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)).to(images)
    if shift.kind == "blur":
        from monai.networks.layers.simplelayers import GaussianFilter  # seconds to import: paid where something is blurred

        filtered: Tensor = GaussianFilter(images.ndim - 2, shift.strength)(images)
        return filtered
    axes = (-1, *(1,) * (images.ndim - 1))
    low, high = (edge.view(axes) for edge in images.flatten(1).aminmax(dim=1))
    wide = (high - low).clamp_min(torch.finfo(images.dtype).tiny)
    return ((images - low) / wide) ** shift.strength * (high - low) + low
