"""Tensors are aligned as the arrays of :mod:`medkd.volumes.alignment` are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medkd.volumes.alignment import alignment_of
from medkd.volumes.resample import align
from tests.volumes.grids import grid_of, orientations, task


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 1.0)])
def test_tensors_go_there_and_back_as_arrays_do(spacing):
    grid = grid_of(list(orientations())[29])
    tensors, arrays = align(grid, task(spacing)), alignment_of(grid, task(spacing))
    random = np.random.default_rng(0)
    values = random.normal(size=grid.shape).astype(np.int16)
    labels = random.integers(0, 3, size=grid.shape).astype(np.uint8)
    there = tensors.to_network(torch.from_numpy(values))
    assert there.dtype == torch.float32
    assert np.array_equal(there.numpy(), arrays.array_to_network(values))
    marked = tensors.labels_to_network(torch.from_numpy(labels))
    assert marked.dtype == torch.uint8
    assert np.array_equal(marked.numpy(), arrays.labels_array_to_network(labels))
    logits = torch.stack([there, -there])
    assert np.array_equal(tensors.to_source(logits).numpy(), arrays.array_to_source(logits.numpy()))
    assert tensors.resamples == (spacing is not None)
