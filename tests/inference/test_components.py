"""What a component is, in what order they come, and what is measured of them, on shapes whose measures are known."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from data_contracts import Geometry
from medkd.inference.components import axes_mm, find_components, smallest_voxels

AFFINE = ((0.0, 0.0, 3.0, -94.5), (0.0, 3.0, 0.0, -94.5), (4.0, 0.0, 0.0, -200.0), (0.0, 0.0, 0.0, 1.0))


def geometry(shape=(12, 64, 64), affine=AFFINE, spacing=(4.0, 3.0, 3.0)):
    return Geometry(shape=shape, affine_lps_mm=affine, spacing_mm=spacing, residual_mm=0)


def box(*corners):
    mask = np.zeros((12, 64, 64), dtype=np.uint8)
    for (s0, s1), (r0, r1), (c0, c1) in corners:
        mask[s0:s1, r0:r1, c0:c1] = 1
    return mask


def test_a_box_has_the_volume_diameter_and_centre_of_a_box():
    ((lesion, own),) = find_components(box(((2, 5), (10, 20), (40, 52))), geometry())
    assert lesion.voxels == 3 * 10 * 12
    assert lesion.volume_ml == pytest.approx(360 * 36 / 1000)
    assert lesion.diameter_mm == pytest.approx(math.dist((0, 0, 0), (2 * 4, 9 * 3, 11 * 3)))
    assert lesion.centroid_lps_mm == pytest.approx((-94.5 + 45.5 * 3, -94.5 + 14.5 * 3, -200 + 3 * 4))
    assert (lesion.first_slice, lesion.key_slice, lesion.last_slice) == (2, 2, 4)
    assert int(own.sum()) == 360


def test_voxels_that_touch_at_a_corner_are_one_lesion_and_a_gap_makes_two():
    touching = box(((2, 4), (10, 14), (10, 14)), ((4, 6), (14, 18), (14, 18)))
    apart = box(((2, 4), (10, 14), (10, 14)), ((5, 7), (14, 18), (14, 18)))
    assert len(find_components(touching, geometry())) == 1
    assert len(find_components(apart, geometry())) == 2


def test_lesions_come_largest_first_and_specks_are_left_out():
    mask = box(((1, 2), (5, 7), (5, 7)), ((3, 5), (20, 24), (20, 24)), ((7, 10), (40, 46), (40, 46)))
    assert [lesion.voxels for lesion, _ in find_components(mask, geometry())] == [108, 32]
    assert find_components(mask * 0, geometry()) == ()


@pytest.mark.parametrize(("columns", "side"), [((50, 56), "left"), ((5, 11), "right"), ((29, 35), "midline")])
def test_the_side_follows_from_the_affine(columns, side):
    ((lesion, _),) = find_components(box(((2, 5), (30, 34), columns)), geometry())
    assert lesion.side == side


def test_a_mirrored_grid_mirrors_the_side():
    mirrored = ((0.0, 0.0, -3.0, 94.5), *AFFINE[1:])
    ((lesion, _),) = find_components(box(((2, 5), (30, 34), (50, 56))), geometry(affine=mirrored))
    assert lesion.side == "right"


def test_the_largest_diameter_of_a_ball_is_found_up_to_a_voxel():
    grid = np.indices((24, 24, 24)) - 11.5
    ball = (np.sqrt((grid**2).sum(0)) <= 9).astype(np.uint8)
    unit = Geometry(
        shape=(24, 24, 24),
        affine_lps_mm=((0, 0, 1.0, 0), (0, 1.0, 0, 0), (1.0, 0, 0, 0), (0, 0, 0, 1.0)),
        spacing_mm=(1.0,) * 3,
        residual_mm=0,
    )
    ((lesion, _),) = find_components(ball, unit)
    assert lesion.diameter_mm == pytest.approx(17.5, abs=1.0)
    assert lesion.mask_sha256 == hashlib.sha256(ball.tobytes()).hexdigest()


def test_the_side_within_a_crop_is_not_known():
    narrow = ((0.0, 0.0, 1.0, 12.0), (0.0, 1.0, 0.0, -94.5), AFFINE[2], AFFINE[3])
    ((lesion, _),) = find_components(box(((2, 5), (30, 34), (50, 56))), geometry(affine=narrow, spacing=(4.0, 1.0, 1.0)))
    assert lesion.side == "unknown"


def test_of_lesions_of_one_size_the_first_in_the_volume_comes_first():
    mask = box(((8, 9), (20, 24), (20, 24)), ((1, 2), (50, 54), (50, 54)), ((1, 2), (10, 14), (50, 54)))
    found = find_components(mask, geometry())
    assert [int(np.flatnonzero(own)[0]) for _, own in found] == sorted(int(np.flatnonzero(own)[0]) for _, own in found)
    assert [lesion.tracking_id for lesion, _ in found] == ["lesion-1", "lesion-2", "lesion-3"]


def test_the_smallest_finding_is_twenty_voxels_and_twenty_cubic_millimetres():
    fine = geometry(affine=((0.0, 0.0, 0.5, 0.0), (0.0, 0.5, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), AFFINE[3]), spacing=(1.0, 0.5, 0.5))
    assert smallest_voxels(geometry()) == 20
    assert smallest_voxels(fine) == 80  # a voxel is a quarter of a cubic millimetre


def test_axes_of_a_box_are_its_diagonal_and_the_width_across_it():
    mask = box(((2, 5), (10, 20), (40, 52)))
    ((lesion, _),) = find_components(mask, geometry())
    rows, columns = 9 * 3, 11 * 3
    # Across its diagonal a rectangle reaches from one of the other corners to the other.
    assert lesion.axes_mm == pytest.approx((math.hypot(rows, columns), 2 * rows * columns / math.hypot(rows, columns)))


def by_turning(plane, steps, angles=3600):
    """Return long and short axis by turning a caliper in small steps: nothing is shared with what is tested."""
    points = np.argwhere(plane) * steps
    turned = np.pi * np.arange(angles) / angles
    directions = np.stack([np.cos(turned), np.sin(turned)])
    reach = np.ptp(points @ directions, axis=0)
    # The widest caliper lies along the longest distance.
    along = int(reach.argmax())
    return reach[along], reach[(along + angles // 2) % angles]


@pytest.mark.parametrize("seed", range(6))
def test_axes_are_those_of_a_caliper_that_is_turned(seed):
    generator = np.random.default_rng(seed)
    rows, columns = np.indices((40, 40))
    centre, radii, angle = generator.uniform(17, 22, 2), generator.uniform((9, 4), (15, 8)), generator.uniform(0, np.pi)
    y, x = rows - centre[0], columns - centre[1]
    along, across = y * np.cos(angle) + x * np.sin(angle), x * np.cos(angle) - y * np.sin(angle)
    plane = (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1
    small = (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 0.3
    oblique = ((0.0, 0.0, 2.0, 5.0), (0.6, 0.72, 0.0, -3.0), (0.8, -0.54, 0.0, 7.0), (0.0, 0.0, 0.0, 1.0))
    grid = Geometry(shape=(3, 40, 40), affine_lps_mm=oblique, spacing_mm=(1.0, 0.9, 2.0), residual_mm=0)
    assert axes_mm(np.stack([small, plane, small]), grid) == pytest.approx(by_turning(plane, (0.9, 2.0)), rel=2e-3)


def test_a_line_has_no_short_axis_and_a_voxel_no_axis():
    line = box(((2, 3), (10, 11), (20, 30)))
    assert axes_mm(line, geometry()) == pytest.approx((27.0, 0.0))
    assert axes_mm(box(((2, 3), (10, 11), (20, 21))), geometry()) == (0.0, 0.0)


def test_a_picture_has_no_axes():
    ((lesion, _),) = find_components(np.ones((1, 8, 8)), None)
    assert lesion.axes_mm is None
    assert "axes_mm" not in lesion.model_dump()


def test_what_is_not_wanted_is_left_out_and_the_rest_is_counted_from_one():
    mask = box(((2, 5), (10, 20), (40, 52)), ((1, 3), (30, 40), (2, 12)), ((8, 10), (50, 55), (50, 55)))
    everything = find_components(mask, geometry())
    asked = []

    def wanted(own):
        asked.append(int(own.sum()))
        return own.sum() != 200

    kept = find_components(mask, geometry(), wanted=wanted)
    assert asked == [360, 200, 50]
    assert [lesion.voxels for lesion, _ in kept] == [360, 50]
    assert [lesion.tracking_id for lesion, _ in kept] == ["lesion-1", "lesion-2"]
    assert kept[1][0].mask_sha256 == everything[2][0].mask_sha256 == hashlib.sha256(everything[2][1].tobytes()).hexdigest()


def test_axes_of_a_cut_out_are_those_of_the_whole():
    # Oblique: rows and columns are no axes of the patient, and where the cut-out begins must not count.
    turned = ((0.1, 0.6, 2.9, -20.0), (0.3, 2.9, -0.6, 11.0), (4.0, -0.4, 0.0, 7.0), (0.0, 0.0, 0.0, 1.0))
    mask = box(((2, 5), (10, 20), (40, 52)), ((4, 5), (20, 29), (44, 46)))
    cut = mask[2:5, 10:29, 40:52]
    assert axes_mm(cut, geometry(affine=turned), begin=(10, 40)) == axes_mm(mask, geometry(affine=turned))
