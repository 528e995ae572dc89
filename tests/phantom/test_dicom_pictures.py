from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from medkd.phantom.dicom_pictures import Picture, picture_dataset, ultrasound_region, write_phantom_pictures, write_picture

GREY = np.random.default_rng(0).integers(0, 4096, (12, 16)).astype(np.uint16)


@pytest.mark.parametrize("kind", ["CR", "DX", "MG", "US", "SC"])
def test_pixels_come_back_as_they_were(tmp_path, kind):
    write_picture(tmp_path / "a.dcm", Picture(GREY, kind=kind, bits=12))
    read = pydicom.dcmread(tmp_path / "a.dcm")
    assert np.array_equal(read.pixel_array, GREY)
    assert (read.Modality, read.BitsStored) == ("OT" if kind == "SC" else kind, 12)


def test_frames_and_colours_come_back_too(tmp_path):
    frames = np.random.default_rng(1).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    write_picture(
        tmp_path / "a.dcm", Picture(frames, colours=True, attributes={"SequenceOfUltrasoundRegions": [ultrasound_region((0, 0, 6, 4))]})
    )
    read = pydicom.dcmread(tmp_path / "a.dcm")
    assert np.array_equal(read.pixel_array, frames)
    assert read.SOPClassUID == "1.2.840.10008.5.1.4.1.1.3.1"
    assert read.FrameTime == 40


def test_an_attribute_can_be_taken_away():
    assert "ImagerPixelSpacing" not in picture_dataset(Picture(GREY, kind="DX", attributes={"ImagerPixelSpacing": None}))


def test_a_cohort_has_a_picture_and_a_label_of_each_patient(tmp_path):
    write_phantom_pictures(tmp_path / "in", pictures=4)
    labels = [pydicom.dcmread(path) for path in sorted(tmp_path.rglob("seg.dcm"))]
    pictures = [pydicom.dcmread(path) for path in sorted(tmp_path.rglob("us.dcm"))]
    assert {label.SegmentSequence[0].SegmentDescription for label in labels} == {"class=benign", "class=malignant"}
    assert len({picture.PatientID for picture in pictures}) == 4
    for label, picture in zip(labels, pictures, strict=True):
        (group,) = label.PerFrameFunctionalGroupsSequence
        assert group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID == picture.SOPInstanceUID
        assert label.pixel_array.shape[-2:] == picture.pixel_array.shape == (64, 64)


def test_a_label_passes_the_validator(tmp_path):
    write_phantom_pictures(tmp_path / "in", pictures=1)
    validator = Path(sys.executable).with_name("dciodvfy")
    if not validator.is_file():
        pytest.skip("dciodvfy of dicom3tools is not installed")
    done = subprocess.run([validator, tmp_path / "in/patient000/seg.dcm"], capture_output=True, text=True, check=False)
    assert "Error" not in done.stderr
