"""The alignment of a study and a network (:mod:`medkd.volumes.alignment`) as tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from data_contracts import Task
from medkd.volumes.alignment import ArrayAlignment, alignment_of
from medkd.volumes.orientation import Grid


class Alignment(ArrayAlignment):
    """How a study's voxels and a network's belong together."""

    def to_network(self, values: Tensor) -> Tensor:
        """Bring voxels [*source] to float32 [*network]."""
        return torch.from_numpy(self.array_to_network(values.float().numpy()))

    def labels_to_network(self, labels: Tensor) -> Tensor:
        """Bring a label map [*source] to uint8 [*network]: each voxel gets the label with the largest share of it."""
        return torch.from_numpy(self.labels_array_to_network(labels.numpy()))

    def to_source(self, values: Tensor) -> Tensor:
        """Bring voxels [channel, *network] back to the study's own, [channel, *source]; linear where grids differ."""
        return torch.from_numpy(self.array_to_source(values.numpy()))


def align(grid: Grid, task: Task) -> Alignment:
    """Return how a study's grid is brought to what networks of a task were trained on."""
    found = alignment_of(grid, task)
    return Alignment(found.source, found.turn, found.turned, found.network)
