"""Pictures in colours brought to grey, by one rule: ITU-R BT.601 luma, rounded; and how many of their pixels have a colour.

An ultrasound is stored in colours although most of it is grey. Where it is grey nothing changes; a Doppler map and coloured lettering lose
their colour, so they are counted. Source: ITU-R BT.601-7 (2011), 2.5.1; PS3.3 C.7.6.3.1.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, pixel_array

from data_contracts import IngestCode, IngestError
from medkd.dicom.found_file import FoundFile
from medkd.dicom.lookup_table import read_table
from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.raw_values import has, raw_int
from medkd.dicom.whole_object import contained, whole_dataset

#: Parts of red, green and blue in luma.
LUMA = (0.299, 0.587, 0.114)
LUMA_RULE = "ITU-R BT.601 luma"
PALETTE = "PALETTE COLOR"
_COLOURS = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", PALETTE})
#: Red, green and blue that differ by more than this share of white are a colour: lossy compression of grey differs by less.
COLOURED = 16 / 255


@dataclass(frozen=True)
class GreyPicture:
    """A picture that was in colours.

    Attributes:
        grey: uint8, uint16 or uint32 [frame, row, column].
        brightest: the largest of red, green and blue: what coloured lettering is found in, same shape.
        bits: of a grey value.
        coloured: pixels that have a colour, of all frames.
    """

    grey: NDArray[Any]
    brightest: NDArray[Any]
    bits: int
    coloured: int


def is_coloured(photometric: str) -> bool:
    """Return whether a photometric interpretation is one of colours that are brought to grey."""
    return photometric in _COLOURS


def grey_picture(file: FoundFile, photometric: str) -> GreyPicture:
    """Return the grey of a picture in colours.

    Raises:
        IngestError: ``DECODE_FAILED``, ``TRUNCATED_PIXELS`` or ``NONLINEAR_LUT``.
    """
    dataset = whole_dataset(file.path, file.digest)
    frames = raw_int(dataset, 0x00280008, 1)
    try:
        with quiet_dicom(), contained():
            pixels = np.asarray(pixel_array(dataset, raw=photometric == PALETTE))
    except IngestError:
        raise
    except Exception as error:  # decoders raise what they like
        message = f"expected decodable pixel data, the decoder stopped ({type(error).__name__})"
        raise IngestError(IngestCode.DECODE_FAILED, message, {"file": file.relative, "error": type(error).__name__}) from error
    colours, bits = _looked_up(pixels, dataset) if photometric == PALETTE else (pixels, raw_int(dataset, 0x00280101, 8))
    colours = colours if frames > 1 else colours[None]
    grey = np.empty(colours.shape[:3], np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)
    coloured = 0
    for place, frame in enumerate(colours):  # frame by frame: a cine in floating point is many times as large
        grey[place] = np.rint(frame[..., :3].astype(np.float64) @ np.array(LUMA))
        spread = frame[..., :3].max(-1).astype(np.int64) - frame[..., :3].min(-1)
        coloured += int(np.count_nonzero(spread > COLOURED * ((1 << bits) - 1)))
    return GreyPicture(grey, colours[..., :3].max(-1), bits, coloured)


def _looked_up(stored: NDArray[Any], dataset: Dataset) -> tuple[NDArray[Any], int]:
    """Return red, green and blue of palette indices, and the bits of each."""
    signed = raw_int(dataset, 0x00280103, 0) == 1
    if has(dataset, "SegmentedRedPaletteColorLookupTableData"):
        try:
            colours = apply_color_lut(stored, dataset)
        except Exception as error:  # a table can be broken in ways no rule foresees
            message = f"expected a palette that can be read ({type(error).__name__})"
            raise IngestError(IngestCode.NONLINEAR_LUT, message, {"error": type(error).__name__}) from error
        return colours[..., :3], 8 * colours.dtype.itemsize
    names = [f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue")]
    tables = [read_table(dataset, f"{name}Descriptor", f"{name}Data", signed=signed) for name in names]
    return np.stack([table.apply(stored) for table in tables], -1), tables[0].bits
