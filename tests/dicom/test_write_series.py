"""A NIfTI volume as DICOM: ingested again it lies where it lay, with the same values, and nothing is guessed."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from data_contracts import DataError, IngestPolicy, StoreManifest, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.dicom.write_series import series_of, write_series
from medkd.storage.store import Store

#: Axes turned about two axes, spacing of 1.25, 0.5 and 2 mm, LPS far from the middle.
TURN = np.array([[0.8, 0.0, 0.6], [0.36, 0.8, -0.48], [-0.48, 0.6, 0.64]])


OBLIQUE = TURN @ np.diag((1.25, 0.5, 2.0))


def nifti(path, values, *, matrix=OBLIQUE, origin=(-31.5, 20.25, 7.0)):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, origin
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


@pytest.fixture
def volume(tmp_path):
    values = np.random.default_rng(0).normal(500.0, 100.0, (7, 9, 5)).astype(np.float32)
    return nifti(tmp_path / "hippocampus_003.nii.gz", values), values


def ingested(folder, tmp_path):
    """Return the only volume of a folder of DICOM and its voxels."""
    store = tmp_path / "store"
    report = ingest(IngestRequest(folder, store, IngestPolicy()), secret=b"k")
    assert report.codes() == {}, [file for file in report.files if file.code]
    (found,) = load_record(store / "manifest.json", StoreManifest).volumes
    return found, Store(store).read_tensors(found.array)["volume"].numpy()


def test_each_voxel_lies_where_it_lay_and_values_keep_their_order(volume, tmp_path):
    source, values = volume
    assert len(write_series(series_of(source, "MR"), tmp_path / "dicom")) == 5
    found, voxels = ingested(tmp_path / "dicom", tmp_path)
    assert (found.modality, found.unit, found.geometry.shape) == ("MR", "raw", tuple(sorted(values.shape, key=(5, 9, 7).index)))
    image = nibabel.load(source)
    affine = np.asarray(found.geometry.affine_lps_mm)
    scaled = (values - values.min()) / (values.max() - values.min()) * 4095
    for index in np.ndindex(voxels.shape):
        ras = np.diag((-1, -1, 1, 1)) @ affine @ (*index, 1)
        place = np.linalg.solve(image.affine, ras)[:3]
        np.testing.assert_allclose(place, np.round(place), atol=1e-3)
        assert abs(voxels[index] - scaled[tuple(np.round(place).astype(int))]) <= 0.51


def test_hounsfield_units_stay_as_they_are(tmp_path):
    values = np.arange(-100, 80, dtype=np.int16).reshape(6, 6, 5)
    write_series(series_of(nifti(tmp_path / "ct.nii", values, matrix=np.diag((1.0, 1.0, 3.0))), "CT"), tmp_path / "dicom")
    found, voxels = ingested(tmp_path / "dicom", tmp_path)
    assert (found.modality, found.unit) == ("CT", "HU")
    assert sorted(voxels.ravel()) == sorted(values.ravel())


def test_the_same_file_gives_the_same_bytes_and_another_one_another_study(volume, tmp_path):
    source, values = volume
    first = [path.read_bytes() for path in write_series(series_of(source, "MR"), tmp_path / "a")]
    assert first == [path.read_bytes() for path in write_series(series_of(source, "MR"), tmp_path / "b")]
    other = nifti(tmp_path / "other.nii.gz", values + 1)
    assert first[0] != write_series(series_of(other, "MR"), tmp_path / "c")[0].read_bytes()


@pytest.mark.parametrize(
    ("values", "options", "modality", "code"),
    [
        (np.ones((3, 3, 3), np.float32) * np.nan, {}, "MR", "NIFTI_UNREADABLE"),
        (np.ones((3, 3), np.float32), {}, "MR", "NIFTI_UNREADABLE"),
        (np.ones((3, 3, 3), np.float32), {"matrix": np.array([[1, 0.3, 0], [0, 1, 0], [0, 0, 1.0]])}, "MR", "NIFTI_SHEARED"),
        (np.full((3, 3, 3), 1e6, np.float32), {}, "CT", "NIFTI_RANGE"),
        (np.ones((3, 3, 3), np.float32), {}, "XX", "MODALITY_UNKNOWN"),
    ],
)
def test_what_dicom_cannot_state_is_refused(tmp_path, values, options, modality, code):
    source = nifti(tmp_path / "v.nii.gz", values, **options)
    with pytest.raises(DataError) as caught:
        series_of(source, modality)
    assert caught.value.code == code
