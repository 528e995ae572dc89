"""Asking a network about copies of an image with regions hidden, shared by what explains from the outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from skimage.segmentation import slic
from torch import Tensor, nn

from medkd.attribution._budget import affordable
from medkd.attribution._chunk import in_memory, passes_at_once
from medkd.attribution._gradients import as_asked
from medkd.targets import Target
from medkd.trace import Trace, frozen
from medkd.trace import trace as run

_COMPACTNESS = (0.1, 0.3, 1.0, 10.0)


def supervoxels(image: Tensor, players: int) -> Tensor:
    """Divide an image [channel, *space] into about so many regions of alike intensity, int64 [*space], numbered from 0 (SLIC, Achanta 2012).

    Regions follow intensity as far as there are still half as many of them: on noise they would dissolve, and become more compact instead. A
    sequence, and a table's row, is cut into pieces of equal length: each place by itself where there are no more places than regions.
    """
    if image.ndim == 2:
        places = image.shape[1]
        return torch.arange(places) * min(players, places) // places
    # SLIC weighs distances of intensity against those of place: only on a fixed range does a compactness mean anything.
    values = image.detach().cpu().double()
    low, high = float(values.min()), float(values.max())
    scaled = ((values - low) / max(high - low, 1e-12)).numpy()
    for compactness in _COMPACTNESS:
        labels = slic(scaled, n_segments=players, compactness=compactness, start_label=0, channel_axis=0, enforce_connectivity=True)
        known, numbered = np.unique(labels, return_inverse=True)
        if 2 * len(known) >= players:
            break
    return torch.from_numpy(numbered.reshape(labels.shape)).long()


@dataclass(frozen=True)
class MaskedInput:
    """One case of a trace, asked from the outside.

    Attributes:
        model: runs frozen, without gradients.
        inputs: of the case, image [1, channel, *space].
        target: of the case.
        baseline: value of what is hidden, in the network's input units.
        to_come: cases that are still to be asked, this one included: they share a time budget.
    """

    model: nn.Module
    inputs: Mapping[str, Tensor]
    target: Target
    baseline: float
    to_come: int = 1

    @property
    def image(self) -> Tensor:
        """Return the image, [1, channel, *space]."""
        return self.inputs["image"]

    def scores(self, copies: Tensor) -> Tensor:
        """Return the scores of changed copies of the image [copies, channel, *space], float64 [copies, targets]."""

        def scored(rows: Tensor) -> Tensor:
            others = {name: value.expand(len(rows), *value.shape[1:]) for name, value in self.inputs.items()}
            found = self.target(run(self.model, {**others, "image": copies[rows.to(copies.device)]}).logits)
            return found.double().reshape(len(rows), -1)

        with frozen(self.model), torch.no_grad():
            chunks = torch.arange(len(copies)).split(passes_at_once(self.image))
            return torch.cat([in_memory(self.model, self.image, rows, scored, _beside) for rows in chunks])

    def keeping(self, kept: Tensor, regions: Tensor) -> Tensor:
        """Return the scores of copies in which only some regions are kept, float64 [copies, targets].

        Args:
            kept: bool [copies, regions].
            regions: int64 [*space].
        """
        kept, regions, chunk = kept.to(self.image.device), regions.to(self.image.device), passes_at_once(self.image)
        hidden = torch.full_like(self.image, self.baseline)
        return torch.cat([self.scores(torch.where(some[:, regions][:, None], self.image, hidden)) for some in kept.split(chunk)])

    def affordable(self, wanted: int, *, least: int) -> int:
        """Return how many copies of this case a time budget leaves."""
        return affordable(wanted, lambda: self.scores(self.image), least=least, among=self.to_come)


def _beside(one: Tensor, other: Tensor) -> Tensor:
    return torch.cat([one, other])


def case_by_case(trace: Trace, target: Target, baseline: float, explain: Callable[[MaskedInput], Tensor]) -> Tensor:
    """Return maps [batch, *space] ([batch, targets, *space] of several targets) of what makes [targets, *space] of one case.

    Each case is asked with the draws of the first: what it gets does not depend on its company.
    """
    maps, count = [], len(trace.image)
    with torch.random.fork_rng(devices=[]):
        # Within the fork: the caller's generator is where it was, whatever is drawn for the cases.
        seed = int(torch.randint(2**31, ()))
        for case in range(count):
            torch.manual_seed(seed)
            inputs = {name: value[case : case + 1].detach() for name, value in trace.inputs.items()}
            maps.append(explain(MaskedInput(trace.model, inputs, target.of_case(case), baseline, count - case)))
    return as_asked(torch.stack(maps).to(trace.image.device), target)


def spread(values: Tensor, regions: Tensor) -> Tensor:
    """Return maps [targets, *space] whose voxels share their region's value [regions, targets] equally."""
    # Numbers of regions may leave gaps: a region without a voxel has no share, and must not divide by zero.
    sizes = torch.bincount(regions.flatten(), minlength=len(values)).clamp_min(1)
    each = (values / sizes[:, None].to(values)).float()
    return each[regions.to(values.device)].movedim(-1, 0)
