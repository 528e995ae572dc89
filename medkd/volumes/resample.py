"""From a study's grid to the grid a network was trained on, and exactly back.

Axes are swapped and mirrored to the patient's (never interpolated); only where the spacing differs from the wanted one by more than a
percent are voxels resampled, linearly, with the first voxel's centre kept in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from data_contracts import Task
from medkd.volumes.orientation import Grid, canonical_axes, from_canonical, to_canonical

SAME_SPACING = 0.01


@dataclass(frozen=True)
class Alignment:
    """How a study's voxels and a network's belong together.

    Attributes:
        source: grid of the study, (slice, row, column).
        turn: how its axes are swapped and mirrored.
        turned: its grid after that.
        network: grid of the network's input; equal to ``turned`` where nothing is resampled.
    """

    source: Grid
    turn: NDArray[np.float64]
    turned: Grid
    network: Grid

    @property
    def resamples(self) -> bool:
        """Return whether voxels are interpolated."""
        return self.network.shape != self.turned.shape or not np.array_equal(self.network.affine_lps_mm, self.turned.affine_lps_mm)

    def to_network(self, values: Tensor) -> Tensor:
        """Bring voxels [*source] to float32 [*network]."""
        turned = torch.from_numpy(to_canonical(values.float().numpy(), self.turn))
        return _sample(turned[None], self._steps(), self.network.shape)[0] if self.resamples else turned

    def labels_to_network(self, labels: Tensor) -> Tensor:
        """Bring a label map [*source] to uint8 [*network]: each voxel gets the label with the largest share of it."""
        if not self.resamples:
            return torch.from_numpy(to_canonical(labels.numpy(), self.turn))
        values = labels.unique().tolist()
        # Interpolating numbers of classes would make classes in between: each is brought over as a share of its own.
        shares = torch.stack([self.to_network(labels == value) for value in values])
        return torch.tensor(values, dtype=torch.uint8)[shares.argmax(0)]

    def to_source(self, values: Tensor) -> Tensor:
        """Bring voxels [channel, *network] back to the study's own, [channel, *source]; linear where grids differ."""
        if self.resamples:
            values = _sample(values.float(), tuple(1 / step for step in self._steps()), self.turned.shape)
        return torch.stack([torch.from_numpy(from_canonical(channel.numpy(), self.turn)) for channel in values])

    def _steps(self) -> tuple[float, ...]:
        """Return how many turned voxels one network voxel spans, per axis."""
        return tuple(n / t for n, t in zip(self.network.spacing_mm, self.turned.spacing_mm, strict=True))


def align(grid: Grid, task: Task) -> Alignment:
    """Return how a study's grid is brought to what networks of a task were trained on."""
    turn, turned = canonical_axes(grid)
    wanted = task.spacing_mm
    if wanted is None or all(abs(w / own - 1) <= SAME_SPACING for w, own in zip(wanted, turned.spacing_mm, strict=True)):
        return Alignment(grid, turn, turned, turned)
    steps = np.array([w / own for w, own in zip(wanted, turned.spacing_mm, strict=True)])
    # A little more than zero: 10 mm in steps of 1 mm must not lose their last voxel to rounding.
    slices, rows, columns = (int(np.floor((extent - 1) / step + 1e-6)) + 1 for extent, step in zip(turned.shape, steps, strict=True))
    # The first voxel keeps its centre, so that only the steps change.
    affine = turned.affine_lps_mm @ np.diag([*steps, 1.0])
    return Alignment(grid, turn, turned, Grid((slices, rows, columns), affine))


def _sample(values: Tensor, steps: tuple[float, ...], shape: tuple[int, ...]) -> Tensor:
    """Return [channel, *shape] read linearly at index k * step of [channel, *space]; beyond the last voxel its value holds."""
    axes: list[Any] = [
        2 * torch.arange(extent, dtype=torch.float32) * step / max(old - 1, 1) - 1
        for extent, step, old in zip(shape, steps, values.shape[1:], strict=True)
    ]
    slices, rows, columns = torch.meshgrid(*axes, indexing="ij")
    # grid_sample names places x, y, z: the last axis first.
    flow = torch.stack([columns, rows, slices], dim=-1)[None]
    # align_corners: -1 and 1 are the centres of the first and last voxel, as the affine counts them.
    return functional.grid_sample(values[None], flow, mode="bilinear", padding_mode="border", align_corners=True)[0]
