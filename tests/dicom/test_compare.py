"""Two slices are the same where their stored pixels and their rescale are; what cannot be read is the same as nothing."""

from __future__ import annotations

import numpy as np
import pytest

from medkd.dicom.compare import same_image, same_slice
from medkd.dicom.pixel_place import PixelPlace
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
