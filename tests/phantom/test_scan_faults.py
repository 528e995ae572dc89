"""Each fault changes what it says and leaves the rest as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medkd.phantom import scan_faults
from medkd.phantom.faulty_scan import CONFLICT_HU, MATRIX, TIME_STEP_HU, VARIANTS, Scan, hounsfield_at

AXIAL, SIGNED = (replace(variant, slices=6) for variant in VARIANTS[:2])


def made(*steps, variant=AXIAL):
    scan = Scan(variant, seed=0, name="x")
    for step in steps:
        getattr(scan_faults, step)(scan)
    return scan


def position(dataset):
    return np.array(dataset.ImagePositionPatient, dtype=float)


def along(scan):
    """Return how far each dataset lies along the normal, in steps from the first place."""
    return [float((position(one) - scan.origin) @ scan.variant.axes()[:, 0] / scan.variant.spacing_mm[0]) for one in scan.datasets]


def values(dataset):
    kind = "<i2" if dataset.PixelRepresentation else "<u2"
    stored = np.frombuffer(dataset.PixelData, dtype=kind).reshape(MATRIX)
    return stored * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


WHOLE = [float(place) for place in range(AXIAL.slices)]
HALF = AXIAL.slices // 2


@pytest.mark.parametrize(
    ("lay", "places"),
    [
        ("lay_whole", WHOLE),
        ("lay_reversed", WHOLE[::-1]),
        ("lay_tilted", WHOLE),
        ("lay_changed_spacing", WHOLE[:HALF] + [HALF - 1 + 2.0 * step for step in range(1, HALF + 1)]),
        ("lay_two_times", WHOLE * 2),
    ],
)
def test_slices_lie_where_the_name_says(lay, places):
    scan = made(lay)
    assert along(scan) == pytest.approx(places, abs=1e-6)
    assert len({dataset.SOPInstanceUID for dataset in scan.datasets}) == len(places)


def test_a_gantry_tilted_by_14_degrees_moves_each_slice_along_its_rows():
    steps = np.diff([position(one) for one in made("lay_tilted", variant=SIGNED).datasets], axis=0)
    axes = SIGNED.axes()
    assert np.degrees(np.arctan2(steps @ axes[:, 1], steps @ axes[:, 0])) == pytest.approx(np.full(len(steps), 14.0), abs=1e-4)
    assert steps @ axes[:, 2] == pytest.approx(np.zeros(len(steps)), abs=1e-6)


def test_the_second_time_is_brighter_and_says_its_number():
    scan = made("lay_two_times")
    first, second = scan.datasets[: AXIAL.slices], scan.datasets[AXIAL.slices :]
    assert {one.TemporalPositionIdentifier for one in first} == {1}
    assert {one.TemporalPositionIdentifier for one in second} == {2}
    assert np.abs(values(second[3]) - values(first[3]) - TIME_STEP_HU).max() <= 1


def test_a_slice_is_lost_from_within():
    places = along(made("lay_whole", "lose_slice"))
    assert len(places) == AXIAL.slices - 1
    assert (min(places), max(places)) == (0, pytest.approx(AXIAL.slices - 1))


@pytest.mark.parametrize(("fault", "add"), [("repeat_slice", 0.0), ("contradict_slice", CONFLICT_HU)])
def test_a_slice_that_comes_twice_is_told_apart_by_its_pixels_alone(fault, add):
    scan = made("lay_whole", fault)
    (own,) = [one for one in scan.datasets[:-1] if np.array_equal(position(one), position(scan.datasets[-1]))]
    copy = scan.datasets[-1]
    assert np.abs(values(copy) - values(own) - add).max() <= 1
    assert copy.SOPInstanceUID != own.SOPInstanceUID
    for keyword in ("SeriesInstanceUID", "AcquisitionNumber", "AcquisitionTime", "ImageOrientationPatient"):
        assert copy[keyword].value == own[keyword].value


def test_a_localizer_comes_first_looks_another_way_and_says_what_it_is():
    scan = made("lay_whole", "add_localizer")
    first, second = scan.datasets[:2]
    normals = [np.cross(*np.array(one.ImageOrientationPatient, dtype=float).reshape(2, 3)) for one in (first, second)]
    assert normals[0] @ normals[1] == pytest.approx(0, abs=1e-9)
    assert "LOCALIZER" in first.ImageType
    assert first.SeriesInstanceUID == second.SeriesInstanceUID


def test_a_second_series_of_the_study_lies_off_the_grid_of_the_first():
    scan = made("lay_whole", "add_series")
    first, second = scan.datasets[0], scan.datasets[-1]
    assert len(scan.datasets) == 2 * AXIAL.slices
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert not set(np.round(along(scan)[: AXIAL.slices], 3)) & set(np.round(along(scan)[AXIAL.slices :], 3))


@pytest.mark.parametrize("variant", [AXIAL, SIGNED])
def test_under_a_rescale_of_its_own_each_slice_has_the_values_it_had(variant):
    before, scan = made("lay_whole", variant=variant), made("lay_whole", "vary_slopes", variant=variant)
    assert len({(float(one.RescaleSlope), float(one.RescaleIntercept)) for one in scan.datasets}) == AXIAL.slices
    for own, same in zip(scan.datasets, before.datasets, strict=True):
        assert np.abs(values(own) - values(same)).max() <= 1


def test_an_inverted_grey_scale_leaves_the_values_alone():
    before, scan = made("lay_whole"), made("lay_whole", "invert")
    assert {one.PhotometricInterpretation for one in scan.datasets} == {"MONOCHROME1"}
    assert [one.PixelData for one in scan.datasets] == [one.PixelData for one in before.datasets]


def test_the_class_is_left_out_of_every_slice():
    assert not any("SOPClassUID" in one for one in made("lay_whole", "drop_class").datasets)


@pytest.mark.parametrize("variant", [AXIAL, SIGNED])
def test_the_padding_value_lies_in_a_corner_and_nowhere_else(variant):
    scan = made("lay_whole", "pad", variant=variant)
    for dataset in scan.datasets:
        stored = np.frombuffer(dataset.PixelData, dtype="<i2" if variant.signed else "<u2").reshape(MATRIX)
        padded = stored == dataset.PixelPaddingValue
        assert padded[:3, :4].all()
        assert padded.sum() == 12
        assert ("SS" if variant.signed else "US") == dataset["PixelPaddingValue"].VR


def test_frames_of_an_enhanced_object_are_shuffled_and_each_holds_what_lies_at_its_place():
    scan = made("lay_whole", "make_enhanced")
    (whole,) = scan.datasets
    frames = np.frombuffer(whole.PixelData, dtype="<u2").reshape(-1, *MATRIX)
    assert whole.NumberOfFrames == len(frames) == AXIAL.slices
    heights = []
    rows, columns = np.indices(MATRIX)
    for frame, group in zip(frames, whole.PerFrameFunctionalGroupsSequence, strict=True):
        corner = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        heights.append(corner[2])
        points = corner + np.stack([columns * AXIAL.spacing_mm[2], rows * AXIAL.spacing_mm[1], 0 * rows], axis=-1)
        rescale = group.PixelValueTransformationSequence[0]
        assert np.abs(frame * float(rescale.RescaleSlope) + float(rescale.RescaleIntercept) - hounsfield_at(points)).max() <= 0.5 + 1e-6
    assert heights != sorted(heights)
    assert heights != sorted(heights, reverse=True)
