"""Whether two objects show the same: compared by stored pixels, whatever they are encoded in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydicom import Dataset
from pydicom.pixels import pixel_array

from data_contracts import IngestCode, IngestError
from medkd.dicom.found_file import FoundFile
from medkd.dicom.picture_frames import picture_group
from medkd.dicom.pixel_plan import plan_pixels
from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.raw_values import raw_int
from medkd.dicom.slices import Slice, slices_of
from medkd.dicom.stored_values import stored_values
from medkd.dicom.whole_object import contained

SameSlice = Callable[[Slice, Slice], bool]
#: What a picture in colours states of its encoding: PhotometricInterpretation, PlanarConfiguration (PS3.5 8.2).
_ENCODING = frozenset({0x00280004, 0x00280006})
#: What an object lacks that lies nowhere in the patient.
_NOWHERE = (IngestCode.MISSING_POSITION, IngestCode.ENHANCED_UNSUPPORTED)


def same_slice(first: Slice, second: Slice) -> bool:
    """Return whether two slices hold the same stored pixels and rescale; what cannot be compared is not the same."""
    if (first.slope, first.intercept) != (second.slope, second.intercept):
        return False
    try:
        if _in_colours(first.header):
            return _same_colours(first, second)
        # Bits that the header does not claim differ from writer to writer: they make no other image. A modality table is part of the header.
        one, other = (stored_values(plan_pixels(item, cut_bits=True, tables=True)) for item in (first, second))
        return bool(np.array_equal(one, other))
    except IngestError:
        return False


def same_image(first: FoundFile, second: FoundFile, same: SameSlice = same_slice) -> bool:
    """Return whether two objects say the same in all but the encoding of their pixels; pictures are compared frame by frame."""
    try:
        return _same_header(first.header, second.header) and all(
            same(one, other) for one, other in zip(_frames(first), _frames(second), strict=True)
        )
    except Exception:  # headers can be broken in ways no rule foresees
        return False


def _frames(file: FoundFile) -> tuple[Slice, ...]:
    """Return the slices of an object, or its frames where it lies nowhere in the patient."""
    try:
        return slices_of(file)
    except IngestError as error:
        if error.ingest_code not in _NOWHERE:
            raise
        return picture_group(file).slices


def _same_header(first: Dataset | None, second: Dataset | None) -> bool:
    if first is None or second is None or not _in_colours(first):
        return first == second
    return all(tag in first and tag in second and first[tag] == second[tag] for tag in (first.keys() | second.keys()) - _ENCODING)


def _in_colours(header: Dataset) -> bool:
    return raw_int(header, 0x00280002, 1) > 1


def _same_colours(first: Slice, second: Slice) -> bool:
    """Return whether two frames have the same red, green and blue; lossless compression keeps them under another photometric interpretation."""
    try:
        with quiet_dicom(), contained():
            one, other = (pixel_array(item.file.path, index=item.frame) for item in (first, second))
            return bool(np.array_equal(one, other))
    except Exception:  # decoders raise what they like
        return False
