"""Two slices are the same where their stored pixels and their rescale are; what cannot be read is the same as nothing."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from data_contracts import IngestCode, Outcome
from medkd.dicom.compare import same_image, same_slice
from medkd.dicom.pixel_place import PixelPlace
from medkd.dicom.read_header import read_file
from medkd.phantom.dicom_pictures import Picture, picture_dataset
from tests.dicom.ingesting import ingest_folder
from tests.dicom.invented import found, header, slice_at

PIXELS = np.arange(24, dtype="<i2")


@pytest.fixture
def written(tmp_path):
    """Return a maker of slices whose pixels lie in a file."""

    def make(name, pixels=PIXELS, **values):
        (tmp_path / name).write_bytes(pixels.tobytes())
        return slice_at(0, name=str(tmp_path / name), **values)

    return make


def test_slices_are_the_same_by_their_pixels(written):
    first = written("a")
    assert same_slice(first, written("b"))
    assert not same_slice(first, written("c", PIXELS + 1))


def test_slices_of_another_rescale_are_others_whatever_is_stored(written):
    assert not same_slice(written("a"), written("b", RescaleIntercept=-1024))


def test_what_is_cut_short_is_the_same_as_nothing(written):
    assert not same_slice(written("a", PIXELS[:-1]), written("b", PIXELS[:-1]))


def test_images_are_the_same_by_header_and_pixels():
    one, two, other = found("a", header()), found("b", header()), found("c", header(KVP=80))
    assert same_image(one, two, lambda *_: True)
    assert not same_image(one, two, lambda *_: False)
    assert not same_image(one, other, lambda *_: True)
    assert not same_image(one, found("d", header(PixelSpacing=None), pixels=PixelPlace(0, 0)), lambda *_: True)


GREY = np.random.default_rng(0).integers(0, 256, (3, 64, 80), dtype=np.uint8)
COLOURS = np.random.default_rng(1).integers(0, 256, (64, 80, 3), dtype=np.uint8)
PICTURES = {
    "radiograph": Picture(GREY[0].astype(np.uint16) * 16, kind="CR", bits=12),
    "cine": Picture(GREY),
    "colours": Picture(COLOURS, colours=True),
    "cine in colours": Picture(np.stack([COLOURS, COLOURS[::-1]]), colours=True),
}


def encoded(path, picture, syntax=None, *, change=None):
    """Write a picture in another encoding; ``change(dataset)`` makes it another object."""
    dataset = picture_dataset(picture)
    if change is not None:
        change(dataset)
    if syntax == JPEG2000Lossless and picture.colours:
        dataset.PhotometricInterpretation = "YBR_RCT"
        dataset.compress(syntax, np.ascontiguousarray(picture.pixels), generate_instance_uid=False, encoding_plugin="pylibjpeg")
    elif syntax is not None:
        dataset.compress(syntax, generate_instance_uid=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return read_file(path, path.name)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=["RLE", "JPEG-LS", "JPEG 2000"])
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_in_two_encodings_is_the_same_although_it_lies_nowhere(tmp_path, name, syntax):
    plain, packed = encoded(tmp_path / "a", PICTURES[name]), encoded(tmp_path / "b", PICTURES[name], syntax)
    assert plain.digest != packed.digest
    assert same_image(plain, packed)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_with_one_other_pixel_or_statement_is_another(tmp_path, name):
    def last_pixel(dataset):
        pixels = bytearray(dataset.PixelData)
        pixels[-2] ^= 1
        dataset.PixelData = bytes(pixels)

    plain = encoded(tmp_path / "a", PICTURES[name])
    assert not same_image(
        plain, encoded(tmp_path / "b", PICTURES[name], RLELossless, change=lambda one: setattr(one, "ViewPosition", "LL"))
    )
    altered = picture_dataset(PICTURES[name])
    last_pixel(altered)
    altered.save_as(tmp_path / "c", enforce_file_format=True)
    assert not same_image(plain, read_file(tmp_path / "c", "c"))


def test_a_picture_that_came_in_two_encodings_is_stored_once(tmp_path):
    encoded(tmp_path / "in" / "a.dcm", PICTURES["radiograph"])
    encoded(tmp_path / "in" / "b.dcm", PICTURES["radiograph"], RLELossless)
    report = ingest_folder(tmp_path / "in", tmp_path / "store", secret=b"k")
    assert [(file.outcome, file.code) for file in report.files] == [
        (Outcome.ACCEPTED, None),
        (Outcome.IGNORED, IngestCode.DUPLICATE_FILE),
    ]
    assert len(report.series) == 1
