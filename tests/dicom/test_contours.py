"""Contours become the voxels whose centre they hold or touch: against areas on a fine grid, and against masks traced through centres."""

from __future__ import annotations

import numpy as np
import pytest

from medkd.dicom.labels.contours import fill_contours, precision_mm

SHAPE = (32, 34)
EXACT = 1e-6


def area(points):
    """Return the area of a polygon in voxels. Source: the shoelace formula."""
    y, x = points.T
    return abs(np.dot(y, np.roll(x, -1)) - np.dot(x, np.roll(y, -1))) / 2


def fine_grid(contours, fine=16):
    """Return what each contour alone encloses, from samples on a grid that is finer than the voxels, bool [contour, ...]."""
    ticks = [(np.arange(size * fine) + 0.5) / fine - 0.5 for size in SHAPE]
    row, column = np.meshgrid(*ticks, indexing="ij")
    inside = np.zeros((len(contours), *row.shape), dtype=bool)
    for mask, points in zip(inside, contours, strict=True):
        for (y0, x0), (y1, x1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if y0 != y1:
                mask ^= ((y0 <= row) != (y1 <= row)) & (column > x0 + (row - y0) / (y1 - y0) * (x1 - x0))
    return inside


def share_of(inside, fine=16):
    """Return the share of each voxel that lies inside."""
    return inside.reshape(SHAPE[0], fine, SHAPE[1], fine).mean((1, 3))


def coverage(contours):
    return share_of(np.logical_xor.reduce(fine_grid(contours)))


def blob(rng, radius=9.0, points=60):
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    radii = radius + rng.normal(0, 0.8) * np.sin(3 * angle) + rng.normal(0, 0.5) * np.cos(5 * angle)
    return np.array([15, 16]) + rng.uniform(-1, 1, 2) + np.stack([radii * np.sin(angle), radii * np.cos(angle)], axis=1)


def moved(points, row, column):
    return points + np.array([row, column], dtype=float)


def square(low, high):
    return np.array([[low, low], [low, high], [high, high], [high, low]], dtype=float)


def mask_of(low, high):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[low : high + 1, low : high + 1] = True
    return mask


@pytest.mark.parametrize("decimals", [6, 2])
def test_any_shape_with_a_hole_fills_the_voxels_that_it_mostly_covers_and_loses_no_area(decimals):
    rng = np.random.default_rng(7)
    found = wanted = 0.0
    for _ in range(8):
        contours = [np.round(blob(rng), decimals), np.round(blob(rng, radius=3.5), decimals)]
        mask, share = fill_contours(contours, SHAPE, 0.7 * 10.0**-decimals), coverage(contours)
        assert mask[share > 0.75].all()
        assert not mask[share < 0.25].any()
        found, wanted = found + mask.sum(), wanted + area(contours[0]) - area(contours[1])
    assert found == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("backwards", [False, True])
def test_contours_through_voxel_centres_give_the_mask_that_was_traced(turn, backwards):
    contours = [np.roll(points, turn, axis=0)[:: -1 if backwards else 1] for points in (square(4, 25), square(10, 19))]
    wanted = mask_of(4, 25) & ~mask_of(11, 18)
    assert (fill_contours(contours, SHAPE, EXACT) == wanted).all()


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_a_traced_disc_comes_back_whatever_decimals_its_points_were_rounded_to(decimals):
    rows, columns = np.meshgrid(*(np.arange(size) for size in SHAPE), indexing="ij")
    disc = np.hypot(rows - 14.3, columns - 16.2) <= 9.2
    spacing, origin = 0.9765625, -249.51172
    edge = [(r, c) for r, c in zip(*np.nonzero(disc), strict=True) if not disc[r - 1 : r + 2, c - 1 : c + 2].all()]
    edge.sort(key=lambda p: np.arctan2(p[0] - 14.3, p[1] - 16.2))
    written = np.round(origin + np.array(edge) * spacing, decimals)
    points = (written - origin) / spacing
    precision = precision_mm([f"{value:.{decimals}f}" for value in written.ravel()]) / spacing
    mask = fill_contours([points], SHAPE, precision)
    assert not (mask & ~disc).any()
    assert not (disc & ~mask).any()


def test_a_contour_at_half_voxels_holds_exactly_its_voxels():
    assert (fill_contours([square(3.5, 20.5)], SHAPE, EXACT) == mask_of(4, 20)).all()


def test_a_keyhole_is_a_hole():
    outer, inner = square(4, 25), square(10, 19)
    keyhole = np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])
    assert (fill_contours([keyhole], SHAPE, EXACT) == (mask_of(4, 25) & ~mask_of(11, 18))).all()


def test_a_bridge_of_no_width_between_two_islands_holds_no_voxel_although_it_runs_through_centres():
    bridge = np.array([[2, 2], [2, 5], [5, 5], [5, 4], [20, 4], [20, 6], [24, 6], [24, 2], [20, 2], [20, 4], [5, 4], [5, 2]], dtype=float)
    mask = fill_contours([bridge], SHAPE, EXACT)
    assert mask[2:6, 2:6].all()
    assert mask[20:25, 2:7].all()
    assert mask.sum() == 16 + 25


def test_a_ring_of_one_voxel_that_was_traced_from_both_sides_comes_back():
    """Tracing programs leave the corners out where they follow the hole, so that the two lines coincide along the sides."""
    inner = np.array([[5, 4], [4, 5], [4, 11], [5, 12], [11, 12], [12, 11], [12, 5], [11, 4]], dtype=float)
    assert (fill_contours([square(4, 12), inner], SHAPE, EXACT) == (mask_of(4, 12) & ~mask_of(5, 11))).all()


def test_an_island_in_a_hole_is_inside_again():
    contours = [square(2.5, 28.5), square(6.5, 24.5), square(12.5, 16.5)]
    wanted = (mask_of(3, 28) & ~mask_of(7, 24)) | mask_of(13, 16)
    assert (fill_contours(contours, SHAPE, EXACT) == wanted).all()


@pytest.mark.parametrize("decimals", [6, 1])
@pytest.mark.parametrize("seed", range(5))
def test_contours_that_overlap_in_part_are_united_and_each_keeps_its_own_holes(decimals, seed):
    """Two outlines over one another, a hole in both, one in the first alone, an island in that: by sets of samples on a fine grid."""
    rng = np.random.default_rng(seed)
    first, second = moved(blob(rng), -2, -5), moved(blob(rng), 2, 6)
    both, hole = 0.2 * blob(rng) + 0.8 * np.array([15, 16]), 0.22 * (blob(rng) - np.array([15, 16])) + first.mean(0) - np.array([0, 4])
    island = 0.4 * (hole - hole.mean(0)) + hole.mean(0)
    contours = [np.round(points, decimals) for points in (first, second, both, hole, island)]
    a, b, c, d, e = fine_grid(contours)
    assert not (c & ~(a & b)).any()
    assert not (d & ~a).any()
    assert not (e & ~d).any()
    assert (a & b).mean() > 0.03
    share = share_of((a & ~c & ~(d & ~e)) | (b & ~c))
    for order in (range(5), range(4, -1, -1)):
        mask = fill_contours([contours[place] for place in order], SHAPE, 0.7 * 10.0**-decimals)
        assert mask[share > 0.8].all()
        assert not mask[share < 0.2].any()
    exclusive = fill_contours(contours, SHAPE, 0.7 * 10.0**-decimals, exclusive=True)
    assert not exclusive[share_of(np.logical_xor.reduce([a, b, c, d, e])) < 0.2].any()
    assert (exclusive != mask).sum() > 20


def test_a_hole_of_one_contour_takes_nothing_from_another_that_overlaps_it_in_part():
    """The hole lies wholly within the first contour; the second one covers half of it."""
    first, hole, second = square(2.5, 14.5), square(5.5, 10.5), moved(square(3.5, 12.5), 4, 4)
    wanted = (mask_of(3, 14) & ~mask_of(6, 10)) | mask_of(8, 16)
    assert (fill_contours([first, hole, second], SHAPE, EXACT) == wanted).all()


def test_a_hole_that_shares_a_side_with_its_contour_stays_a_hole_although_both_were_rounded():
    outer, hole = square(3.5, 20.5), np.array([[3.5, 8.5], [3.5, 12.5], [9.5, 12.5], [9.5, 8.5]])
    wanted = mask_of(4, 20)
    wanted[4:10, 9:13] = False
    assert (fill_contours([outer, hole], SHAPE, EXACT) == wanted).all()
    assert (fill_contours([outer, moved(hole, -0.06, 0)], SHAPE, 0.05) == wanted).all()
    united = fill_contours([outer, moved(hole, -2, 0)], SHAPE, 0.05)
    assert (united == (mask_of(4, 20) | fill_contours([moved(hole, -2, 0)], SHAPE, 0.05))).all()


def test_one_outline_that_was_written_twice_with_other_points_is_one():
    finer = np.concatenate([square(3.5, 20.5), (square(3.5, 20.5) + np.roll(square(3.5, 20.5), -1, axis=0)) / 2])[[0, 4, 1, 5, 2, 6, 3, 7]]
    assert (fill_contours([square(3.5, 20.5), finer], SHAPE, EXACT) == mask_of(4, 20)).all()


def test_an_island_in_the_hole_of_a_keyhole_is_inside():
    outer, inner = square(3.5, 25.5), square(9.5, 19.5)
    keyhole = np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])
    wanted = (mask_of(4, 25) & ~mask_of(10, 19)) | mask_of(13, 16)
    assert (fill_contours([keyhole, square(12.5, 16.5)], SHAPE, EXACT) == wanted).all()


@pytest.mark.parametrize(
    "points",
    [np.zeros((0, 2)), np.array([[5.0, 5.0]]), np.array([[5.0, 5.0], [9.0, 5.0]]), np.array([[5.0, 5.0], [7.0, 5.0], [9.0, 5.0]])],
    ids=["none", "one point", "two points", "a line"],
)
def test_what_has_no_area_holds_no_voxel(points):
    assert not fill_contours([points], SHAPE, EXACT).any()
    assert (fill_contours([points, square(3.5, 6.5)], SHAPE, EXACT) == mask_of(4, 6)).all()


def test_a_region_under_a_voxel_holds_one_where_it_holds_its_centre():
    assert fill_contours([square(4.8, 5.2)], SHAPE, EXACT).sum() == 1
    assert not fill_contours([square(5.2, 5.8)], SHAPE, EXACT).any()


def test_what_reaches_beyond_the_image_is_cut_off_at_its_edge():
    assert (fill_contours([square(-8.5, 5.5)], SHAPE, EXACT) == mask_of(0, 5)).all()
    assert fill_contours([square(-9, 99)], SHAPE, EXACT).all()
    assert not fill_contours([square(40, 50)], SHAPE, EXACT).any()


def test_the_precision_of_a_contour_is_that_of_its_finest_decimal():
    assert precision_mm(["1.25", "-3", "2.5"]) == pytest.approx(0.005 * np.sqrt(3))
    assert precision_mm(["1.5e-3", 7]) == pytest.approx(0.5e-4 * np.sqrt(3))
    assert precision_mm([]) > 0.5
