"""What a network says lands exactly on the study's own voxels, in all 48 orientations."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from torch.nn import functional

from medkd.volumes.alignment import alignment_of, sample_linearly
from medkd.volumes.orientation import Grid, ras_of, save_nifti
from tests.volumes.grids import SHAPE, grid_of, orientations, task, world


@pytest.mark.parametrize("axes", list(orientations()))
def test_axes_are_brought_to_the_patients_and_back_without_a_change(axes):
    grid = grid_of(axes)
    alignment = alignment_of(grid, task())
    places = world(grid).astype(np.float32)
    turned = np.stack([alignment.array_to_network(places[..., k]) for k in range(3)], axis=-1)
    assert np.abs(turned - world(alignment.network)).max() < 1e-4, "a voxel keeps its place in the patient"
    directions = np.sign(np.diag(alignment.network.affine_lps_mm[:3, [2, 1, 0]]))
    assert directions.tolist() == [-1, -1, 1], "columns to the right's left, rows to the front, slices upwards"
    back = alignment.array_to_source(np.moveaxis(turned, -1, 0))
    assert np.array_equal(np.moveaxis(back, 0, -1), places)


@pytest.mark.parametrize("axes", list(orientations())[::5])
def test_a_mask_written_as_nifti_lies_where_it_was_seen(axes, tmp_path):
    grid = grid_of(axes)
    alignment = alignment_of(grid, task())
    centre = world(grid)[4, 5, 3]
    ball = np.linalg.norm(world(grid) - centre, axis=-1) < 3.1
    seen = alignment.array_to_network(ball) > 0.5
    restored = alignment.array_to_source(seen[None])[0].astype(np.uint8)
    image = nibabel.load(save_nifti(restored, ras_of(grid.affine_lps_mm), tmp_path / "m.nii.gz"))
    voxels = np.argwhere(image.get_fdata() > 0)
    lps = (nibabel.affines.apply_affine(image.affine, voxels)) * [-1, -1, 1]
    assert len(voxels) == int(ball.sum())
    assert np.linalg.norm(lps - centre, axis=1).max() < 3.1


@pytest.mark.parametrize("axes", list(orientations())[::7])
def test_resampled_voxels_keep_their_place_too(axes):
    grid = grid_of(axes)
    alignment = alignment_of(grid, task((1.0, 1.0, 1.0)))
    assert alignment.resamples
    assert alignment.network.spacing_mm == pytest.approx((1.0, 1.0, 1.0))
    places = world(grid)
    turned = np.stack([alignment.array_to_network(places[..., k]) for k in range(3)], axis=-1)
    assert np.abs(turned - world(alignment.network)).max() < 1e-3
    back = np.moveaxis(alignment.array_to_source(np.moveaxis(world(alignment.network), -1, 0)), 0, -1)
    inner = (slice(1, -1),) * 3
    assert np.abs((back - places)[inner]).max() < 1e-3


def test_a_spacing_within_a_percent_is_taken_as_it_is():
    grid = grid_of(next(orientations()))
    canonical = alignment_of(grid, task()).turned.spacing_mm
    assert not alignment_of(grid, task(tuple(s * 1.005 for s in canonical))).resamples
    assert alignment_of(grid, task(tuple(s * 1.02 for s in canonical))).resamples


def by_grid_sample(values, steps, shape):
    """Return values read at index k * step, as torch reads them: positions from -1 (first voxel) to 1 (last), beyond them the last value."""
    places = [np.arange(extent) * step / (size - 1) * 2 - 1 for extent, step, size in zip(shape, steps, values.shape, strict=True)]
    positions = np.stack(np.meshgrid(*places, indexing="ij")[::-1], axis=-1)  # torch names the last axis first
    image, where = torch.from_numpy(values)[None, None].double(), torch.from_numpy(positions)[None]
    return functional.grid_sample(image, where, mode="bilinear", padding_mode="border", align_corners=True)[0, 0].numpy()


@pytest.mark.parametrize("steps", [(0.5, 0.75, 1.3), (1.0, 1.0, 2.0), (2.4, 0.31, 1.0)])
@pytest.mark.parametrize("shape", [(5, 6, 4), (12, 12, 12)])  # the second reaches beyond the last voxel
def test_linear_sampling_is_that_of_torch(steps, shape):
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    found = sample_linearly(values, steps, shape)
    assert found.dtype == np.float32
    assert np.abs(found - by_grid_sample(values, steps, shape)).max() < 1e-5


def test_a_network_voxel_takes_the_label_with_the_largest_share_of_it_and_background_where_shares_are_equal():
    # Slices every 2 mm, asked for every 1 mm: each second one lies midway between two.
    grid = Grid((3, 2, 2), np.array([[0.0, 0, -1, 0], [0, -1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1]]))
    alignment = alignment_of(grid, task((1.0, 1.0, 1.0)))
    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[1:] = 3
    assert alignment.labels_array_to_network(labels)[:, 0, 0].tolist() == [0, 0, 3, 3, 3]


@pytest.mark.parametrize(
    ("extent", "own", "asked", "wanted"),
    [
        (21, 1.0, 0.1, 201),
        (3, 1.0, 1.5, 2),
        (4, 1.0, 1.5, 3),
        (1, 1.0, 0.5, 1),
        (4, 0.3, 0.1, 10),
    ],  # of the last, 9 steps are 8.999… in binary
)
def test_as_many_network_voxels_as_lie_between_the_first_and_the_last(extent, own, asked, wanted):
    grid = Grid((extent, 2, 2), np.array([[0.0, 0, -1, 0], [0, -1, 0, 0], [own, 0, 0, 0], [0, 0, 0, 1]]))
    assert alignment_of(grid, task((asked, 1.0, 1.0))).network.shape == (wanted, 2, 2)
