"""The frames of a picture: pixels that lie nowhere in the patient, each object an image of its own."""

from __future__ import annotations

from data_contracts import IngestCode, IngestError
from medkd.dicom.found_file import FoundFile
from medkd.dicom.group import SliceGroup
from medkd.dicom.raw_values import raw_int, raw_text
from medkd.dicom.slices import CONTRAST, RESCALE_TYPE, Slice, SliceReader


def picture_group(file: FoundFile) -> SliceGroup:
    """Return the frames of a picture in their order, without position, orientation and spacing: a group of its own.

    Raises:
        IngestError: ``UNREADABLE_NUMBER``, or ``UNREADABLE_HEADER`` where it has no rows, columns or frames.
    """
    header = file.header
    if header is None:
        raise ValueError(f"expected a readable object, {file.relative} is none")
    matrix, count = (raw_int(header, 0x00280010, 0), raw_int(header, 0x00280011, 0)), raw_int(header, 0x00280008, 1)
    if min(*matrix, count) < 1:
        evidence = {"rows": matrix[0], "columns": matrix[1], "frames": count}
        raise IngestError(IngestCode.UNREADABLE_HEADER, f"expected rows, columns and frames, got {(*matrix, count)}", evidence)
    read = SliceReader(0)
    slope, intercept = read.rescale(header, None)
    contrast = tuple(raw_text(header, tag) for tag in CONTRAST)
    frames = tuple(
        Slice(
            file=file,
            frame=number,
            position_mm=(),
            orientation=(),
            # What a picture says of its spacing has a kind (`pixel_spacing`), and none of them is one of these.
            spacing_mm=(0.0, 0.0),
            matrix=matrix,
            slope=slope,
            intercept=intercept,
            contrast=contrast,
            rescale_type=raw_text(header, RESCALE_TYPE),
            notes=read.notes(),
        )
        for number in range(count)
    )
    return SliceGroup(frames)
