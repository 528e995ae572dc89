"""Features of pictures, or of what is outlined in them, pooled to a row of numbers each: what training cases and findings are compared by.

A classifier's row is the mean of the layer that its class maps are read from, a segmenter's the mean of its coarsest layer within the
component; ``medkd/review/README.md`` says what was measured of others.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from medkd.attribution._chunk import passes_at_once
from medkd.cohorts.volume_cohort import corner_of, cut
from medkd.trace import Trace, frozen, layer_map_of, trace


def pooled_features(network: nn.Module, images: Tensor, masks: Tensor | None = None) -> tuple[Tensor, str]:
    """Return a row of features per image, float32 [n, feature], and the layer that they are of; a row is NaN where a mask is empty.

    Args:
        network: with a layer map; evaluated without gradients, left as it was.
        images: float32 [n, channel, *space].
        masks: non-zero inside what is compared, [n, *space]; None of a classifier, whose features are pooled over the whole image.
    """
    layers, rows, layer = _candidates(network, masks), [], ""
    with frozen(network), torch.no_grad():
        step = passes_at_once(images)
        for begin in range(0, len(images), step):
            kept = trace(network, images[begin : begin + step], layers=layers)
            layer = _coarsest(kept, layers)
            features = kept.feature(layer).float()
            rows.append(_pooled(features, None if masks is None else masks[begin : begin + step]))
    return torch.cat(rows), layer


def patch_round(image: Tensor, mask: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the patch of a volume, and of a mask in it, whose middle is the mask's: ``size`` voxels, padded where the volume is smaller.

    Args:
        image: [channel, *space].
        mask: [*space]; where it is empty, the patch is the middle of the volume.
        size: of the patch.
    """
    centre = mask.nonzero().float().mean(0).round().long().tolist() if bool(mask.any()) else None
    corner = corner_of(centre, size, tuple(mask.shape))
    return cut(image, corner, size, fill=float(image.min())), cut(mask, corner, size, fill=0)


def _candidates(network: nn.Module, masks: Tensor | None) -> tuple[str, ...]:
    known = layer_map_of(network)
    return (known.cam_layer,) if masks is None else known.feature_layers


def _coarsest(kept: Trace, layers: tuple[str, ...]) -> str:
    """Return the layer with the fewest cells, the first of those with as few."""
    return min(layers, key=lambda layer: math.prod(kept.feature(layer).shape[2:]))


def _pooled(features: Tensor, masks: Tensor | None) -> Tensor:
    """Return the mean of features [n, feature, *grid] over the grid, or weighted by how much of each cell a mask [n, *space] covers."""
    if masks is None:
        return features.flatten(2).mean(2)
    inside, grid = (masks > 0).float()[:, None], features.shape[2:]
    if len(grid) == 2:
        weights = functional.adaptive_avg_pool2d(inside, (grid[0], grid[1])).to(features.device)
    else:
        weights = functional.adaptive_avg_pool3d(inside, (grid[0], grid[1], grid[2])).to(features.device)
    return (features * weights).flatten(2).sum(2) / weights.flatten(2).sum(2)
