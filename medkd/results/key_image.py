"""A picture of a report as a Secondary Capture, for archives whose viewers show neither segmentations nor maps."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from medkd.results.common import RESEARCH_ONLY, SERIES, Identity, maker, save


def write_key_image(picture: bytes, images: Sequence[Dataset], words: str, identity: Identity, path: Path) -> Path:
    """Write a PNG as a Secondary Capture of the study that images belong to; it says that it is derived and holds words of ours.

    Args:
        picture: PNG.
        images: whose patient and study it gets.
        words: description of the series, at most 64 characters.
        identity: that its identifiers follow from.
        path: file to write.
    """
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    first = images[0]
    with warnings.catch_warnings():
        # Of names that are no names of persons, as those of converted files: they are the source's, and stay.
        warnings.filterwarnings("ignore", message=".*unlikely to represent the intended person name.*")
        written = _capture(pixels, first, identity)
    written.SeriesDescription = words[:64]
    written.ImageComments = RESEARCH_ONLY
    written.BurnedInAnnotation = "YES"
    written.Laterality = ""
    return save(written, path)


def _capture(pixels: NDArray[np.uint8], first: Dataset, identity: Identity) -> Dataset:
    import highdicom

    return highdicom.sc.SCImage.from_ref_dataset(
        ref_dataset=first,
        pixel_array=pixels,
        photometric_interpretation=highdicom.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=highdicom.CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "P"),
        series_instance_uid=identity.uid("key images"),
        series_number=SERIES["key_image"],
        sop_instance_uid=identity.uid("key image"),
        instance_number=1,
        manufacturer=maker()["manufacturer"],
    )
