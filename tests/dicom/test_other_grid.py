"""Frames on another grid are sampled at the nearest pixel, as a search among all pixels finds it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from data_contracts import Geometry
from medkd.dicom.labels.other_grid import frame_grids, sample_frame

TILT = np.deg2rad(12)
ORIENTATIONS = [
    np.array([1.0, 0, 0, 0, 1, 0]),
    np.array([0, -1.0, 0, 0, 0, 1]),
    np.array([np.cos(TILT), np.sin(TILT), 0, -np.sin(TILT), np.cos(TILT), 0]),
]


def volume() -> Geometry:
    affine = ((0.0, 0.1, 1.0, -12.0), (0.0, 1.5, 0.0, -14.0), (2.0, 0.0, 0.0, 20.0), (0.0, 0.0, 0.0, 1.0))
    return Geometry(shape=(9, 16, 20), affine_lps_mm=affine, spacing_mm=(2.0, 1.5, 1.0), residual_mm=0.0)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(("spacing", "step"), [((0.7, 0.9), 1.3), ((2.2, 1.9), 2.9), ((1.5, 1.0), 2.0)])
def test_each_voxel_takes_the_value_of_the_nearest_pixel(orientation, spacing, step):
    geometry, random = volume(), np.random.default_rng(3)
    normal = np.cross(orientation[:3], orientation[3:])
    shape, count = (24, 22), 14
    middle = np.array(geometry.position_lps_mm(4, 7, 9)) + random.normal(0, 0.31, 3)
    corner = middle - orientation[3:] * spacing[0] * 12 - orientation[:3] * spacing[1] * 11 - normal * step * 7
    positions = [corner + normal * step * number for number in range(count)]
    frames = random.integers(0, 4, (count, *shape)).astype(np.uint8)
    found = np.zeros(geometry.shape, np.uint8)
    times = np.zeros(geometry.shape, int)
    farthest = 0.0
    for frame, grid in zip(frames, frame_grids(positions, orientation, np.array(spacing), shape, 0.0), strict=True):
        region, values, off = sample_frame(frame, grid, geometry)
        found[region] |= values
        times[region] += values > 0
        farthest = max(farthest, off)
    assert times.max() == 1  # no voxel is of two frames
    # Each pixel's centre, and the voxels' centres: the nearest pixel in units of the pixels' own steps.
    rows, columns = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    own = np.array([(n, r, c) for n in range(count) for r, c in zip(rows.ravel(), columns.ravel(), strict=True)], float)
    places = np.array([geometry.position_lps_mm(*index) for index in np.ndindex(*geometry.shape)]) - corner
    units = np.stack([places @ normal / step, places @ orientation[3:] / spacing[0], places @ orientation[:3] / spacing[1]], axis=1)
    distance, nearest = cKDTree(own).query(units, p=np.inf)
    wanted = np.where(distance <= 0.5, frames.reshape(-1)[nearest], 0).reshape(geometry.shape)
    assert (found == wanted).all()
    assert 0 < farthest <= np.linalg.norm([step, *spacing]) / 2 + 1e-6


def test_a_gap_between_frames_is_not_filled_where_the_thickness_is_known():
    positions = [np.array([0.0, 0, z]) for z in (0.0, 10.0)]
    thick, thin = (frame_grids(positions, ORIENTATIONS[0], np.array([1.0, 1.0]), (4, 4), given) for given in (0.0, 2.0))
    assert [float(np.linalg.norm(one[0].axes[:, 2])) for one in (thick, thin)] == [10.0, 2.0]
    (alone,) = frame_grids(positions[:1], ORIENTATIONS[0], np.array([1.5, 1.0]), (4, 4), 0.0)
    assert float(np.linalg.norm(alone.axes[:, 2])) == 1.0
