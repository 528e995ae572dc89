"""From a study's grid to the grid a network was trained on, and exactly back; numpy alone, so that a served model needs no torch.

Axes are swapped and mirrored to the patient's (never interpolated); only where the spacing differs from the wanted one by more than a
percent are voxels resampled, linearly, with the first voxel's centre kept in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import Task
from medkd.volumes.orientation import Grid, canonical_axes, from_canonical, to_canonical

#: Spacings that differ by less than this share are one: scanners write 0.999 for 1.
SAME_SPACING = 0.01


@dataclass(frozen=True)
class ArrayAlignment:
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

    def array_to_network(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Bring voxels [*source] to float32 [*network]."""
        turned = to_canonical(values.astype(np.float32, copy=False), self.turn)
        return sample_linearly(turned, self._steps(), self.network.shape) if self.resamples else turned

    def labels_array_to_network(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Bring a label map [*source] to [*network]: each voxel gets the label with the largest share of it."""
        if not self.resamples:
            return to_canonical(labels, self.turn)
        values = np.unique(labels)
        # The first of equal shares wins, so background stays where a voxel is split evenly.
        shares = np.stack([self.array_to_network(labels == value) for value in values])
        found: NDArray[np.uint8] = values.astype(np.uint8)[shares.argmax(0)]
        return found

    def array_to_source(self, values: NDArray[Any]) -> NDArray[Any]:
        """Bring voxels [channel, *network] back to the study's own, [channel, *source]; linear where grids differ."""
        if not self.resamples:
            return np.stack([from_canonical(channel, self.turn) for channel in values])
        steps = tuple(1 / step for step in self._steps())
        # Channel by channel: logits of a large volume on the study's grid are the largest arrays there are.
        back = (sample_linearly(channel.astype(np.float32, copy=False), steps, self.turned.shape) for channel in values)
        return np.stack([from_canonical(channel, self.turn) for channel in back])

    def _steps(self) -> tuple[float, ...]:
        """Return how many turned voxels one network voxel spans, per axis."""
        return tuple(n / t for n, t in zip(self.network.spacing_mm, self.turned.spacing_mm, strict=True))


def alignment_of(grid: Grid, task: Task) -> ArrayAlignment:
    """Return how a study's grid is brought to what networks of a task were trained on."""
    turn, turned = canonical_axes(grid)
    wanted = task.spacing_mm
    if wanted is None or all(abs(w / own - 1) <= SAME_SPACING for w, own in zip(wanted, turned.spacing_mm, strict=True)):
        return ArrayAlignment(grid, turn, turned, turned)
    steps = np.array([w / own for w, own in zip(wanted, turned.spacing_mm, strict=True)])
    # A hair more than whole steps still counts: 2.0 / 0.1 is 19.999… in binary.
    slices, rows, columns = (int(np.floor((extent - 1) / step + 1e-6)) + 1 for extent, step in zip(turned.shape, steps, strict=True))
    affine = turned.affine_lps_mm @ np.diag([*steps, 1.0])
    return ArrayAlignment(grid, turn, turned, Grid((slices, rows, columns), affine))


def sample_linearly(values: NDArray[np.float32], steps: tuple[float, ...], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return float32 [*shape] read linearly at index k * step of [*space]; beyond the last voxel its value holds.

    The steps are along the axes, so trilinear interpolation is three linear ones, one axis after another: no grid of positions is made.
    """
    for axis, (step, extent) in enumerate(zip(steps, shape, strict=True)):
        last = values.shape[axis] - 1
        places = np.minimum(np.arange(extent, dtype=np.float64) * step, last)
        low = np.floor(places).astype(np.intp)
        share = (places - low).astype(np.float32).reshape(-1, *(1,) * (values.ndim - axis - 1))
        below, above = values.take(low, axis), values.take(np.minimum(low + 1, last), axis)
        values = below + (above - below) * share
    return values
