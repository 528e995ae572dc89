"""What a network says lands exactly on the study's own voxels, in all 48 orientations."""

from __future__ import annotations

import itertools

import nibabel
import numpy as np
import pytest
import torch

from data_contracts import Task
from medkd.volumes.orientation import Grid, ras_of, save_nifti
from medkd.volumes.resample import align

SHAPE = (9, 12, 7)
SPACING = (2.0, 1.5, 1.0)


def orientations():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            axes = np.zeros((3, 3))
            for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
                axes[axis, column] = sign
            yield axes


def grid_of(axes):
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array(SPACING)
    affine[:3, 3] = (-21.0, 13.0, 40.0)
    return Grid(SHAPE, affine)


def world(grid):
    """Return the LPS position of every voxel, [*shape, 3]."""
    index = np.stack(np.meshgrid(*[np.arange(e) for e in grid.shape], indexing="ij"), axis=-1)
    return index @ grid.affine_lps_mm[:3, :3].T + grid.affine_lps_mm[:3, 3]


def task(spacing=None):
    return Task(kind="segmentation", classes=("a", "b"), image_size=(8, 8, 8), spacing_mm=spacing)


@pytest.mark.parametrize("axes", list(orientations()))
def test_axes_are_brought_to_the_patients_and_back_without_a_change(axes):
    grid = grid_of(axes)
    alignment = align(grid, task())
    places = torch.from_numpy(world(grid))
    turned = torch.stack([alignment.to_network(places[..., k]) for k in range(3)], dim=-1)
    assert np.abs(turned.numpy() - world(alignment.network)).max() < 1e-4, "a voxel keeps its place in the patient"
    directions = np.sign(np.diag(alignment.network.affine_lps_mm[:3, [2, 1, 0]]))
    assert directions.tolist() == [-1, -1, 1], "columns to the right's left, rows to the front, slices upwards"
    back = alignment.to_source(turned.permute(3, 0, 1, 2))
    assert torch.equal(back.permute(1, 2, 3, 0), places.float())


@pytest.mark.parametrize("axes", list(orientations())[::5])
def test_a_mask_written_as_nifti_lies_where_it_was_seen(axes, tmp_path):
    grid = grid_of(axes)
    alignment = align(grid, task())
    centre = world(grid)[4, 5, 3]
    ball = torch.from_numpy((np.linalg.norm(world(grid) - centre, axis=-1) < 3.1).astype(np.float32))
    seen = (alignment.to_network(ball) > 0.5).float()
    restored = alignment.to_source(seen[None])[0].numpy().astype(np.uint8)
    image = nibabel.load(save_nifti(restored, ras_of(grid.affine_lps_mm), tmp_path / "m.nii.gz"))
    voxels = np.argwhere(image.get_fdata() > 0)
    lps = (nibabel.affines.apply_affine(image.affine, voxels)) * [-1, -1, 1]
    assert len(voxels) == int(ball.sum())
    assert np.linalg.norm(lps - centre, axis=1).max() < 3.1


@pytest.mark.parametrize("axes", list(orientations())[::7])
def test_resampled_voxels_keep_their_place_too(axes):
    grid = grid_of(axes)
    alignment = align(grid, task((1.0, 1.0, 1.0)))
    assert alignment.resamples
    assert alignment.network.spacing_mm == pytest.approx((1.0, 1.0, 1.0))
    places = torch.from_numpy(world(grid))
    turned = torch.stack([alignment.to_network(places[..., k]) for k in range(3)], dim=-1)
    assert np.abs(turned.numpy() - world(alignment.network)).max() < 1e-3
    back = alignment.to_source(torch.from_numpy(world(alignment.network)).float().permute(3, 0, 1, 2)).permute(1, 2, 3, 0)
    inner = (slice(1, -1),) * 3
    assert np.abs((back - places.float()).numpy()[inner]).max() < 1e-3


def test_a_spacing_within_a_percent_is_taken_as_it_is():
    canonical = align(grid_of(next(orientations())), task()).turned.spacing_mm
    assert not align(grid_of(next(orientations())), task(tuple(s * 1.005 for s in canonical))).resamples
    assert align(grid_of(next(orientations())), task(tuple(s * 1.02 for s in canonical))).resamples
