"""The values of a scan are the known function at every voxel, whichever way it is written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from data_contracts import DataError
from medkd.phantom.faulty_scan import (
    MATRIX,
    TIME_STEP_HU,
    VARIANTS,
    Scan,
    Variant,
    decimal_string,
    find_variant,
    hounsfield_at,
    save_dataset,
    write_pixels,
)

POINTS = np.random.default_rng(0).uniform(-60, 60, size=(200, 3))


def scan_of(variant, places=(0, 1, 2), **more):
    scan = Scan(replace(variant, slices=3), seed=4, name="x")
    scan.lay(np.array(places), **more)
    scan.render()
    return scan


def test_the_truth_is_different_in_every_direction_and_brighter_by_one_step_at_each_time():
    values = hounsfield_at(POINTS)
    assert values.min() >= -900
    assert values.max() <= 1000
    for axis in range(3):
        moved = POINTS.copy()
        moved[:, axis] *= -1
        assert np.abs(hounsfield_at(moved) - values).mean() > 50, "a mirrored volume is found out"
    assert hounsfield_at(POINTS, time=2) - values == pytest.approx(2 * TIME_STEP_HU)
    assert float(hounsfield_at(np.zeros(3))) == pytest.approx(50 + 300 * np.sin(1) + 300 * np.sin(2))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_axes_are_a_rotation(variant):
    axes = variant.axes()
    assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-12)
    slice_, row, column = axes.T
    # Right-handed as DICOM's: the normal of an image is row direction times column direction.
    assert np.cross(column, row) == pytest.approx(slice_)


def test_an_axial_scan_runs_along_the_patients_axes_and_its_turns_are_about_x_y_z():
    assert Variant("a").axes().T.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert pytest.approx(np.array([[0, -1, 0], [0, 0, 1], [1, 0, 0]]), abs=1e-12) == Variant("a", (90.0, 0.0, 0.0)).axes().T
    assert pytest.approx(np.array([[0, 0, 1], [-1, 0, 0], [0, 1, 0]]), abs=1e-12) == Variant("a", (0.0, 0.0, 90.0)).axes().T


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_written_slice_holds_the_truth_at_every_pixel(variant, tmp_path):
    """Read back by pydicom, every pixel's position by the formula of PS3.3 C.7.6.2.1."""
    dataset = scan_of(variant).datasets[1]
    save_dataset(dataset, tmp_path / "a.dcm", variant.syntax)
    read = pydicom.dcmread(tmp_path / "a.dcm")
    assert read.file_meta.TransferSyntaxUID == UID(variant.syntax)
    hu = read.pixel_array * float(read.RescaleSlope) + float(read.RescaleIntercept)
    assert hu.shape == MATRIX
    row, column = np.indices(MATRIX)
    cosines, (between_rows, between_columns) = np.array(read.ImageOrientationPatient, dtype=float), map(float, read.PixelSpacing)
    position = np.array(read.ImagePositionPatient, dtype=float)
    points = position + column[..., None] * between_columns * cosines[:3] + row[..., None] * between_rows * cosines[3:]
    assert np.abs(hu - hounsfield_at(points)).max() <= 0.5 + 1e-6


def test_slices_lie_in_steps_along_their_normal_and_a_shear_moves_each_by_as_much_as_the_one_before():
    variant = VARIANTS[1]
    steps = np.diff(scan_of(variant).positions, axis=0)
    assert steps == pytest.approx(np.tile(variant.axes()[:, 0] * variant.spacing_mm[0], (2, 1)))
    sheared = np.diff(scan_of(variant, shear=np.array([0.5, 0.0, -0.25])).positions, axis=0) - steps
    assert sheared == pytest.approx(np.tile([0.5, 0.0, -0.25], (2, 1)))


def test_uids_differ_by_scan_seed_and_part_and_are_the_same_on_every_machine():
    scan = Scan(VARIANTS[0], seed=1, name="x")
    others = (Scan(VARIANTS[0], seed=2, name="x"), Scan(VARIANTS[0], seed=1, name="y"), Scan(VARIANTS[1], seed=1, name="x"))
    assert len({scan.uid("a"), scan.uid("b"), *(other.uid("a") for other in others)}) == 5
    assert scan.uid("a") == Scan(VARIANTS[0], seed=1, name="x").uid("a")
    assert UID(scan.uid("a")).is_valid


def test_no_two_slices_have_one_uid_or_one_number():
    datasets = scan_of(VARIANTS[0], places=range(14)).datasets
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == 14
    assert len({dataset.SeriesInstanceUID for dataset in datasets}) == 1
    assert len({dataset.InstanceNumber for dataset in datasets}) == 14
    assert "TemporalPositionIdentifier" not in datasets[0]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("slope", "intercept"), [(1.0, -1024.0), (0.25, -1025.0), (2.0, 0.0)])
def test_pixels_give_their_values_back_under_their_rescale(signed, slope, intercept):
    hu, dataset = np.array([[0.0, 100.0, 300.0], [900.0, 12.5, 40.0]]), pydicom.Dataset()
    write_pixels(dataset, hu, Variant("a", signed=signed), slope=slope, intercept=intercept)
    stored = np.frombuffer(dataset.PixelData, dtype="<i2" if signed else "<u2").reshape(hu.shape)
    assert dataset.PixelRepresentation == signed
    assert np.abs(stored * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept) - hu).max() <= slope / 2


@pytest.mark.parametrize("value", [0.1 + 0.2, -1234.56789012345, 1e-12, -0.99999999999])
def test_a_decimal_string_has_sixteen_characters_at_most(value):
    text = decimal_string(value)
    assert len(text) <= 16
    assert float(text) == pytest.approx(value, abs=1e-8)


def test_an_unknown_variant_is_refused_with_those_that_there_are():
    assert find_variant("coronal").turns == (90.0, 0.0, 0.0)
    with pytest.raises(DataError, match=r"expected one of axial, oblique, .*, got 'upside'") as caught:
        find_variant("upside")
    assert caught.value.code == "VARIANT_UNKNOWN"
