from __future__ import annotations

import numpy as np
import pydicom
import pytest

from data_contracts import DataError
from medkd.dicom.write_seg import complete
from medkd.results.common import Identity
from medkd.results.parametric_map import MapWords, write_parametric_map
from medkd.results.readers import validate

WORDS = MapWords("student 1", "medkd student saliency of lesion 1", "attribution in logit")


@pytest.fixture
def images(written_study):
    folder, _, _ = written_study
    files = sorted((folder.parents[1] / "dicom").iterdir())
    read = [pydicom.dcmread(file) for file in files]
    complete(read)
    return read


def test_frames_ascend_along_the_normal_each_with_its_own_values(images, tmp_path):
    shape = (len(images), images[0].Rows, images[0].Columns)
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for given in (images, images[::-1]):  # in whatever order the slices came
        path = write_parametric_map(values if given is images else values[::-1], given, WORDS, Identity("e", "s"), tmp_path / "map.dcm")
        written = pydicom.dcmread(path)
        plane = [float(v) for v in written.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient]
        normal = np.cross(plane[:3], plane[3:])
        positions = [f.PlanePositionSequence[0].ImagePositionPatient for f in written.PerFrameFunctionalGroupsSequence]
        along = [float(normal @ np.array([float(v) for v in position])) for position in positions]
        assert along == sorted(along)
        frames = np.frombuffer(written.FloatPixelData, "<f4").reshape(shape)
        by_position = {tuple(map(float, image.ImagePositionPatient)): plane for image, plane in zip(images, values, strict=True)}
        assert all((by_position[tuple(map(float, p))] == frame).all() for p, frame in zip(positions, frames, strict=True))
        assert [f.FrameContentSequence[0].DimensionIndexValues for f in written.PerFrameFunctionalGroupsSequence] == [
            *range(1, len(images) + 1)
        ]
        assert (written.ContentQualification, written.SeriesDescription) == ("RESEARCH", WORDS.description)


@pytest.mark.parametrize("wrong", ["shape", "nan"])
def test_what_does_not_fit_is_refused(images, tmp_path, wrong):
    values = np.zeros((len(images), images[0].Rows, images[0].Columns), np.float32)
    values = values[1:] if wrong == "shape" else np.where(np.arange(values.shape[2]) == 3, np.nan, values)
    with pytest.raises(DataError, match="expected finite values of shape") as caught:
        write_parametric_map(values, images, WORDS, Identity("e", "s"), tmp_path / "map.dcm")
    assert caught.value.code == "MAP_SHAPE"


@pytest.mark.parametrize("largest", [1e-6, 0.4, 1e5, 0.0])
def test_small_and_large_maps_are_valid_alike(images, tmp_path, largest):
    values = np.zeros((len(images), images[0].Rows, images[0].Columns), np.float32)
    values[1, 2, 3] = largest
    assert validate(write_parametric_map(values, images, WORDS, Identity("e", "s"), tmp_path / "map.dcm")) == (0, "")
