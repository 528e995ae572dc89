"""Drawn text is found, and blanked with what it lies on."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont

from medkd.dicom.confidentiality.burned_in import blank_text, find_text
from tests.dicom.published import picture


@pytest.mark.parametrize("size", [14, 16, 24])
def test_drawn_text_is_found_and_blanked(size):
    pixels = picture(size=size)
    boxes = find_text(pixels)
    assert boxes
    assert (blank_text(pixels, boxes) == 255).sum() < 0.02 * (pixels == 255).sum()


def test_a_line_that_is_too_thin_by_itself_is_found_beside_one_that_is_not():
    grey = np.random.default_rng(0).normal(60, 8, (128, 256)).clip(0, 150).astype(np.uint8)
    image = Image.fromarray(grey)
    draw = ImageDraw.Draw(image)
    draw.text((8, 60), "29324260  01.02.2012", fill=255, font=ImageFont.load_default(size=13))
    assert find_text(np.array(image)) == ()
    draw.text((8, 30), "MERCER EDITH", fill=255, font=ImageFont.load_default(size=18))
    pixels = np.array(image)
    blank = blank_text(pixels, find_text(pixels))
    # Noise has at most 150: what is brighter was drawn.
    assert (blank > 170).sum() < 0.02 * (pixels > 170).sum()
    assert np.array_equal(blank[90:], pixels[90:])


def test_noise_anatomy_and_flat_pictures_hold_no_text(phantom):
    slices = [pydicom.dcmread(path).pixel_array for path in sorted(phantom[2][0].folder.glob("IM*.dcm"))]
    pictures = [picture(text=""), np.zeros((64, 64), np.uint8), np.full((64, 64), 255, np.uint8), *slices]
    assert [find_text(one) for one in pictures] == [()] * len(pictures)
