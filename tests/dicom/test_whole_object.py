"""Pixels of whole objects, and what a decoder may do that is no pixel."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from data_contracts import IngestCode, IngestError
from medkd.dicom.read_header import read_file
from medkd.dicom.whole_object import contained, decode_error, decode_frames, whole_dataset
from tests.dicom.invented import header

PIXELS = np.arange(48, dtype="<i2").reshape(2, 4, 6)


def image(frames):
    dataset = header()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = CTImageStorage, dataset.SOPInstanceUID
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.PixelData = PIXELS[:frames].tobytes()
    dataset["PixelData"].VR = "OW"
    if frames > 1:
        dataset.NumberOfFrames = frames
    return dataset


@pytest.mark.parametrize("frames", [1, 2])
def test_frames_come_first_although_there_is_one(frames):
    found = decode_frames(image(frames), purpose="x")
    assert found.shape == (frames, 4, 6)
    assert (found == PIXELS[:frames]).all()


def test_pixels_that_cannot_be_decoded_are_refused_with_their_purpose():
    dataset = image(1)
    dataset.PixelData = b"1234"
    with pytest.raises(IngestError, match="segmentation frames") as caught:
        decode_frames(dataset, purpose="segmentation frames")
    assert caught.value.ingest_code is IngestCode.DECODE_FAILED


def test_a_panic_of_a_compiled_decoder_is_an_error_like_any_other():
    panic = type("PanicException", (BaseException,), {})

    def decode(error):
        with contained():
            raise error

    with pytest.raises(RuntimeError, match="panicked"):
        decode(panic())
    with pytest.raises(KeyboardInterrupt):
        decode(KeyboardInterrupt())


def test_what_is_wrong_with_pixels_is_said_by_a_code(tmp_path):
    path = tmp_path / "a.dcm"
    image(1).save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    assert decode_error(read_file(path, "a")) is None
    for cut, code in ((len(whole) - 40, IngestCode.TRUNCATED_PIXELS), (len(whole) - 48 - 12, IngestCode.TRUNCATED_PIXELS)):
        path.write_bytes(whole[:cut])
        assert decode_error(read_file(path, "a")) in (code, IngestCode.DECODE_FAILED)


def test_a_dataset_is_read_again_where_its_bytes_are_others(tmp_path):
    path = tmp_path / "a.dcm"
    image(1).save_as(path, enforce_file_format=True)
    first = whole_dataset(path, "one")
    assert whole_dataset(path, "one") is first
    assert whole_dataset(path, "two") is not first
