from __future__ import annotations

import numpy as np
import pydicom

from medkd.dicom.write_seg import complete
from medkd.pictures.colours import png
from medkd.results.common import RESEARCH_ONLY, Identity
from medkd.results.key_image import write_key_image


def test_a_viewer_shows_the_picture_as_it_is_and_says_what_it_is(study, tmp_path):
    _, _, files = study()
    images = [pydicom.dcmread(files[0])]
    images[0].PatientName = "SingleName"  # of a converted file: no warning, and it stays
    complete(images)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    path = write_key_image(png(pixels), images, "medkd report", Identity("e", "s"), tmp_path / "key.dcm")
    written = pydicom.dcmread(path)
    assert (written.pixel_array == pixels).all()
    assert (written.BurnedInAnnotation, written.ImageComments, str(written.PatientName)) == ("YES", RESEARCH_ONLY, "SingleName")
    assert path.stat().st_mode & 0o077 == 0
