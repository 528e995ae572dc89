"""Grids whose axes run along the patient's in all 48 ways."""

from __future__ import annotations

import itertools

import numpy as np

from data_contracts import Task
from medkd.volumes.orientation import Grid

SHAPE = (9, 12, 7)
SPACING = (2.0, 1.5, 1.0)


def orientations():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            axes = np.zeros((3, 3))
            for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
                axes[axis, column] = sign
            yield axes


def grid_of(axes, shape=SHAPE):
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array(SPACING)
    affine[:3, 3] = (-21.0, 13.0, 40.0)
    return Grid(shape, affine)


def world(grid):
    """Return the LPS position of every voxel, [*shape, 3]."""
    index = np.stack(np.meshgrid(*[np.arange(e) for e in grid.shape], indexing="ij"), axis=-1)
    return index @ grid.affine_lps_mm[:3, :3].T + grid.affine_lps_mm[:3, 3]


def task(spacing=None):
    return Task(kind="segmentation", classes=("a", "b"), image_size=(8, 8, 8), spacing_mm=spacing)
