"""Drawn text is found, and blanked with what it lies on."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from medkd.dicom.confidentiality.burned_in import blank_text, find_text
from tests.dicom.published import picture


@pytest.mark.parametrize("size", [14, 16, 24])
def test_drawn_text_is_found_and_blanked(size):
    pixels = picture(size=size)
    boxes = find_text(pixels)
    assert boxes
    assert (blank_text(pixels, boxes) == 255).sum() < 0.02 * (pixels == 255).sum()


def test_noise_anatomy_and_flat_pictures_hold_no_text(phantom):
    slices = [pydicom.dcmread(path).pixel_array for path in sorted(phantom[2][0].folder.glob("IM*.dcm"))]
    pictures = [picture(text=""), np.zeros((64, 64), np.uint8), np.full((64, 64), 255, np.uint8), *slices]
    assert [find_text(one) for one in pictures] == [()] * len(pictures)
