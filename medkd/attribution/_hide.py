"""Asking a network about copies of an image with regions hidden, shared by what explains from the outside."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from skimage.segmentation import slic
from torch import Tensor, nn

from medkd.attribution._chunk import GPU_MOST, MOST
from medkd.targets import Target
from medkd.trace import frozen
from medkd.trace import trace as run

_COMPACTNESS = (0.1, 0.3, 1.0, 10.0)


class Draws:
    """The same draws for every case of a batch: what a case gets does not depend on its company. Seeded by the global generator."""

    def __init__(self) -> None:
        self._seed = int(torch.randint(2**31, ()))

    def again(self) -> torch.Generator:
        """Return a generator at its beginning."""
        return torch.Generator().manual_seed(self._seed)


def supervoxels(image: Tensor, players: int) -> Tensor:
    """Divide an image [channel, *space] into about so many regions of alike intensity, int64 [*space], numbered from 0 (SLIC, Achanta 2012).

    Regions follow intensity as far as there are still half as many of them: on noise they would dissolve, and become more compact instead.
    """
    values = image.detach().cpu().double()
    low, high = float(values.min()), float(values.max())
    scaled = ((values - low) / max(high - low, 1e-12)).numpy()
    for compactness in _COMPACTNESS:
        labels = slic(scaled, n_segments=players, compactness=compactness, start_label=0, channel_axis=0, enforce_connectivity=True)
        known, numbered = np.unique(labels, return_inverse=True)
        if 2 * len(known) >= players:
            break
    return torch.from_numpy(numbered.reshape(labels.shape)).long()


def scores_with(model: nn.Module, inputs: Mapping[str, Tensor], target: Target, kept: Tensor, regions: Tensor, baseline: float) -> Tensor:
    """Return scores of copies of one image in which only some regions are kept, float64 [copies, targets].

    Args:
        model: runs frozen, without gradients.
        inputs: of one case, image [1, channel, *space].
        target: of that case.
        kept: bool [copies, regions].
        regions: int64 [*space].
        baseline: value of what is hidden, in the network's input units.
    """
    image = inputs["image"]
    chunk = MOST.get(image.device.type, GPU_MOST)
    kept, regions = kept.to(image.device), regions.to(image.device)
    found = []
    with frozen(model), torch.no_grad():
        for begin in range(0, len(kept), chunk):
            visible = kept[begin : begin + chunk][:, regions]
            copies = torch.where(visible[:, None], image, torch.full_like(image, baseline))
            others = {name: value.expand(len(copies), *value.shape[1:]) for name, value in inputs.items()}
            scores = target(run(model, {**others, "image": copies}).logits)
            found.append(scores.double().reshape(len(copies), -1))
    return torch.cat(found)


def of_case(inputs: Mapping[str, Tensor], case: int) -> dict[str, Tensor]:
    """Return the inputs of one case of a batch."""
    return {name: value[case : case + 1].detach() for name, value in inputs.items()}


def spread(values: Tensor, regions: Tensor) -> Tensor:
    """Return maps [targets, *space] whose voxels share their region's value [regions, targets] equally."""
    sizes = torch.bincount(regions.flatten(), minlength=len(values)).clamp_min(1)
    each = (values / sizes[:, None].to(values)).float()
    return each[regions.to(values.device)].movedim(-1, 0)
