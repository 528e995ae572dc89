"""A NIfTI file is a label where it is a map of structures, and an image where it is none."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from data_contracts import IngestCode, IngestError, IngestPolicy
from medkd.dicom.findings import Findings
from medkd.dicom.labels.nifti import bind_nifti, is_nifti
from tests.dicom.drawn import Ingested, draw_series, write_nifti_mask
from tests.dicom.invented import found, volume

BIG = np.zeros((8, 20, 24), bool)
BIG[1:7, 2:16, 3:20] = True
SMALL = np.zeros((8, 20, 24), bool)
SMALL[3:5, 4:9, 6:12] = True


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "study"


def smooth(levels, shape=(8, 20, 24)):
    grid = np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), -1)
    field = np.sin(grid[..., 0] / 3) + np.cos(grid[..., 1] / 5) + np.sin(grid[..., 2] / 4 + 1)
    return np.rint((field - field.min()) / np.ptp(field) * (levels - 1))


def parcels(size, count, shape=(8, 20, 24)):
    """Return touching cubes with a number each, in no order."""
    grid = np.stack(np.meshgrid(*(np.arange(one) // size for one in shape), indexing="ij"), -1)
    cubes = grid @ np.array([49, 7, 1])
    return np.random.default_rng(1).permutation(np.arange(1, 400))[cubes] % count + 1


@pytest.mark.parametrize(
    "values",
    [
        smooth(256).astype(np.uint8),
        smooth(30).astype(np.uint8),
        smooth(200).astype(np.int16),
        smooth(256).astype(np.float32),
        (smooth(256) * 8 - 1000).astype(np.int16),
        np.where(BIG, smooth(120), 0).astype(np.uint8),
        np.clip(smooth(400), 0, 255).astype(np.uint8),
        np.random.default_rng(0).integers(0, 256, BIG.shape).astype(np.uint8),
        smooth(256).astype(np.float32) / 255,
    ],
    ids=["8 bits", "few levels", "16 bits", "whole floats", "HU", "cut out", "saturated", "noise", "shares"],
)
def test_an_image_beside_its_series_is_not_a_label(folder, values):
    series = draw_series(folder, modality="MR")
    write_nifti_mask(folder / "T1w.nii.gz", series, values)
    outcome = Ingested(folder).outcome("T1w.nii.gz")
    assert outcome.code is IngestCode.NOT_A_LABEL
    assert f"{len(np.unique(values))} values" in outcome.evidence


def vertebrae():
    values = np.zeros((8, 60, 24), dtype=np.uint8)
    for number in range(24):
        values[2:6, 2 * number + 2 : 2 * number + 4, 8:14] = number + 1
    return values


@pytest.mark.parametrize(
    "values",
    [
        SMALL.astype(np.uint8),
        SMALL.astype(np.uint8) * 255,
        BIG.astype(np.float32) + SMALL,
        parcels(4, 40).astype(np.int16),
        parcels(3, 100).astype(np.uint8),
        np.where(BIG, parcels(2, 12), 0).astype(np.uint8),
    ],
    ids=["one", "255", "floats", "parcels", "small parcels", "tiny parcels"],
)
def test_label_maps_are_labels_however_many_structures_they_hold(folder, values):
    series = draw_series(folder)
    write_nifti_mask(folder / "seg.nii.gz", series, values)
    assert (Ingested(folder).label() == values).all()


def test_thin_structures_numbered_in_a_row_are_a_label(folder):
    series = draw_series(folder, matrix=(60, 24))
    write_nifti_mask(folder / "seg.nii.gz", series, vertebrae())
    assert (Ingested(folder).label() == vertebrae()).all()


def test_a_nifti_with_one_structure_is_called_by_its_file(folder):
    series = draw_series(folder)
    write_nifti_mask(folder / "liver.nii.gz", series, BIG.astype(np.uint8))
    write_nifti_mask(folder / "kidney_left.nii.gz", series, SMALL.astype(np.uint8))
    volume = Ingested(folder).labelled()
    names = {segment.name for label in (volume.label, *volume.further_labels) for segment in label.segments}
    assert names == {"liver", "kidney_left"}


@pytest.mark.parametrize(("name", "nifti"), [("a.nii", True), ("A.NII.GZ", True), ("a.gz", False), ("nii", False)])
def test_a_nifti_is_known_by_its_name(name, nifti):
    assert is_nifti(Path(name)) is nifti


def bound(path, values, *, shift=0.0):
    """Bind a map of values [slice, row, column] to the invented volume of (4, 5, 6) voxels."""
    affine = np.diag([-1.0, -1.5, 2.0, 1.0])
    affine[:3, 3] = [-10.0, -20.0, 30.0 + shift]
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(values.transpose(2, 1, 0)), affine), path)
    return bind_nifti(found(str(path)), volume().geometry, Findings(IngestPolicy()))


def test_a_map_is_brought_to_the_volume_by_its_affine_alone(tmp_path):
    values = np.zeros((4, 5, 6), np.uint8)
    values[1, 2, 3:5] = 7
    label = bound(tmp_path / "kidney_left.nii", values)
    assert (label.array == values).all()
    assert [(segment.value, segment.name, segment.voxels) for segment in label.segments] == [(7, "kidney_left", 2)]


@pytest.mark.parametrize(
    ("change", "shift", "code"),
    [
        (lambda values: values, 0.5, IngestCode.LABEL_GEOMETRY_MISMATCH),
        (lambda values: values * 0, 0.0, IngestCode.EMPTY_LABEL),
        (lambda values: values * 0.5, 0.0, IngestCode.LABEL_UNSUPPORTED),
        (lambda values: values * -1.0, 0.0, IngestCode.LABEL_UNSUPPORTED),
    ],
)
def test_what_is_no_map_on_the_grid_of_the_volume_is_refused(tmp_path, change, shift, code):
    values = np.zeros((4, 5, 6), np.float32)
    values[1, 2, 3:5] = 1
    with pytest.raises(IngestError) as caught:
        bound(tmp_path / "x.nii", change(values).astype(np.float32), shift=shift)
    assert caught.value.ingest_code is code
