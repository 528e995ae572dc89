"""An image read on another grid holds what lies at the same places of the patient, and says where it does not reach."""

from __future__ import annotations

import numpy as np
import pytest

from medkd.volumes.onto_grid import onto_grid, same_grid
from medkd.volumes.orientation import Grid


def grid(shape, spacing, origin=(0.0, 0.0, 0.0), turn=None):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = (np.eye(3) if turn is None else turn) @ np.diag(spacing), origin
    return Grid(shape, affine)


def places(of):
    """Return the centres of voxels, mm [*shape, 3]."""
    index = np.stack([*np.indices(of.shape), np.ones(of.shape)], -1)
    return (index @ of.affine_lps_mm.T)[..., :3]


def rotation(axis, degrees):
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = np.eye(3)
    one, other = [place for place in range(3) if place != axis]
    turned[one, one] = turned[other, other] = cos
    turned[one, other], turned[other, one] = -sin, sin
    return turned


def linear(mm):
    return mm @ np.array([0.7, -1.3, 2.1]) + 5


OWN = grid((9, 14, 12), (3.0, 1.5, 2.0), (-10.0, 4.0, 7.0))
OTHERS = {
    "finer": grid((30, 20, 20), (1.0, 1.0, 1.0), (-12.0, 2.0, 6.0)),
    "coarser": grid((4, 5, 6), (7.0, 4.0, 5.0), (-9.0, 5.0, 8.0)),
    "mirrored": grid((9, 14, 12), (-3.0, -1.5, 2.0), (14.0, 23.5, 7.0)),
    "axes swapped": grid((12, 9, 14), (2.0, 3.0, 1.5), (-10.0, 4.0, 7.0), np.eye(3)[[1, 2, 0]]),
    "oblique": grid((12, 12, 12), (1.7, 2.2, 1.1), (-6.0, 8.0, 9.0), rotation(0, 20) @ rotation(2, -35)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_value_that_is_linear_in_the_place_is_the_same_at_every_place_that_is_reached(name):
    wanted = OTHERS[name]
    values, reached = onto_grid(linear(places(OWN)), OWN, wanted)
    assert values.dtype == np.float32
    # By brute force: a place is in the image when it is within half a voxel of a centre along each of its axes.
    steps = np.linalg.inv(OWN.affine_lps_mm[:3, :3])
    centres, asked = places(OWN).reshape(-1, 3), places(wanted).reshape(-1, 3)
    within = [(np.abs((centres - one) @ steps.T) <= 0.5001).all(1).any() for one in asked]
    assert np.array_equal(reached.ravel(), within)
    # Between the outermost centres and the edge of the voxels the value of the nearest stands; inside it is the place's own.
    index = (asked - OWN.affine_lps_mm[:3, 3]) @ steps.T
    inside = ((index >= -1e-6) & (index <= np.array(OWN.shape) - 1 + 1e-6)).all(1).reshape(wanted.shape)
    assert inside.sum() > 20
    assert np.abs(values - linear(places(wanted)))[inside].max() < 1e-3
    assert reached[inside].all()


def test_on_its_own_grid_an_image_stays_as_it_is():
    values = np.random.default_rng(0).integers(-1000, 1000, OWN.shape).astype(np.int16)
    rounded = Grid(OWN.shape, OWN.affine_lps_mm + 1e-5)
    for wanted in (OWN, rounded):
        moved, reached = onto_grid(values, OWN, wanted)
        assert np.array_equal(moved, values)
        assert reached.all()


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Grid(OWN.shape, OWN.affine_lps_mm.copy()), True),
        (Grid((9, 14, 11), OWN.affine_lps_mm), False),
        (grid((9, 14, 12), (3.0, 1.5, 2.0), (-10.0, 4.0, 7.1)), False),
        (grid((9, 14, 12), (3.0, 1.5, 2.01), (-10.0, 4.0, 7.0)), False),  # a hundredth of a voxel is a tenth of a millimetre at the end
    ],
)
def test_grids_are_the_same_where_all_corners_are(other, same):
    assert same_grid(OWN, other) is same
    assert same_grid(other, OWN) is same


def test_what_an_image_does_not_reach_has_the_nearest_value_and_is_said():
    values, reached = onto_grid(np.full((4, 4, 4), 7.0), grid((4, 4, 4), (1, 1, 1)), grid((8, 4, 4), (1, 1, 1)))
    assert reached[:4].all()
    assert not reached[4:].any()
    assert (values == 7).all()


def test_a_voxel_that_holds_several_of_a_finer_image_is_their_mean():
    fine, coarse = grid((10, 8, 6), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5)), grid((2, 4, 6), (5.0, 2.0, 1.0), (2.5, 1.0, 0.5))
    values = np.random.default_rng(0).normal(size=fine.shape)
    moved, reached = onto_grid(values, fine, coarse)
    assert reached.all()
    np.testing.assert_allclose(moved, values.reshape(2, 5, 4, 2, 6, 1).mean((1, 3, 5)), atol=1e-5)


def test_where_voxels_do_not_fit_into_each_other_the_mean_is_over_the_extent():
    """Noise of a fine image is averaged, and a stripe of every second voxel becomes grey wherever voxels lie."""
    fine, coarse = grid((60, 30, 30), (0.5, 1.0, 1.0)), grid((7, 12, 12), (3.7, 2.2, 2.3), (2.0, 1.5, 1.5), rotation(2, 10))
    stripes = np.broadcast_to((np.arange(60) % 2)[:, None, None], fine.shape) * 100.0
    moved, reached = onto_grid(stripes, fine, coarse)
    middle = (slice(1, -1), slice(3, -3), slice(3, -3))
    assert reached[middle].all()
    assert np.abs(moved[middle] - 50).max() < 15
    noise = onto_grid(np.random.default_rng(0).normal(size=fine.shape), fine, coarse)[0][middle]
    assert noise.std() < 0.35  # by the centres alone it would be .5 and more


def test_a_voxel_that_a_finer_image_does_not_cover_is_read_at_its_centre():
    fine, coarse = grid((6, 6, 6), (1.0, 1.0, 1.0)), grid((3, 2, 2), (4.0, 3.0, 3.0), (0.0, 1.0, 1.0))
    values = np.random.default_rng(0).normal(size=fine.shape)
    moved, _ = onto_grid(values, fine, coarse)
    np.testing.assert_allclose(moved[0], values[0][1::3, 1::3], atol=1e-5)  # its first slice begins two voxels before the image
