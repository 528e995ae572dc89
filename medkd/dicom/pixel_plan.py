"""Everything that decoding a slice needs to know of its header, in one record that travels to worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_contracts import IngestCode, IngestError
from medkd.dicom.pixel_place import PixelPlace
from medkd.dicom.raw_values import has, raw_int, raw_text, stored_number
from medkd.dicom.slices import Slice
from medkd.dicom.transfer_syntax import transfer_syntax

_BIG_ENDIAN = "1.2.840.10008.1.2.2"
#: Run lengths keep words as they are; all other encodings know values only.
_RLE = "1.2.840.10008.1.2.5"


@dataclass(frozen=True)
class PixelPlan:
    """Everything needed to decode one slice, small enough to be sent to another process.

    Attributes:
        path: file.
        digest: of the file's bytes: what is cached of a path is of these bytes and no others.
        relative: its name in evidence.
        frame: index in the pixel data.
        place: where pixel data lie in the file; its offset is None where they are not in it as they are (deflated).
        syntax: transfer syntax of encapsulated pixel data, "" of plain ones.
        frames: number of frames in the pixel data.
        photometric: photometric interpretation.
        matrix: rows, columns.
        bits: allocated, stored.
        high_bit: position of the most significant bit that is stored (PS3.5 8.1.1).
        picture: rows, columns of the picture that the slice is cut from, None where it is the whole one.
        corner: row, column of the slice in that picture.
        signed: whether stored values are in two's complement.
        big_endian: byte order of uncompressed pixels.
        floating: bytes per value of float pixel data, 0 for integers.
        slope: of the rescale.
        intercept: of the rescale.
        padding: stored values from, to which are padding, or None.
        cut_bits: cut bits above those stored instead of refusing them.
        keep_nan: let values that are not finite pass (they are replaced later) instead of refusing them.
    """

    path: Path
    digest: str
    relative: str
    frame: int
    place: PixelPlace
    matrix: tuple[int, int]
    bits: tuple[int, int]
    signed: bool
    high_bit: int
    syntax: str = ""
    frames: int = 1
    photometric: str = "MONOCHROME2"
    big_endian: bool = False
    floating: int = 0
    slope: float = 1.0
    intercept: float = 0.0
    padding: tuple[float, float] | None = None
    cut_bits: bool = False
    keep_nan: bool = False
    picture: tuple[int, int] | None = None
    corner: tuple[int, int] = (0, 0)

    @property
    def whole(self) -> tuple[int, int]:
        """Return rows and columns of the picture that lies in the file."""
        return self.picture or self.matrix

    @property
    def raised(self) -> int:
        """Return by how many bits values lie above the bottom of their words."""
        return self.high_bit - self.bits[1] + 1

    @property
    def plain(self) -> bool:
        """Return whether pixels can be read from the file as they lie."""
        return not self.syntax and self.place.offset is not None and self.bits[0] in (8, 16, 32, 64)

    @property
    def keeps_words(self) -> bool:
        """Return whether the encoding keeps whole words, bits that are not stored among them."""
        return not self.syntax or self.syntax.startswith(_RLE)

    @property
    def exact(self) -> bool:
        """Return whether integers stay integers under the rescale."""
        return self.floating == 0 and self.slope.is_integer() and self.intercept.is_integer()


def plan_pixels(item: Slice, *, cut_bits: bool = False, keep_nan: bool = False, tables: bool = False) -> PixelPlan:
    """Return how a slice is decoded; with ``tables``, whoever asks brings stored values through a modality look-up table.

    Raises:
        IngestError: ``NO_PIXEL_DATA`` or ``NONLINEAR_LUT``. Without a rescale the slope is 1 and the intercept 0.
    """
    header, place = item.header, item.file.pixels
    if place is None:
        raise IngestError(IngestCode.NO_PIXEL_DATA, "expected pixel data, the object has none", {"file": item.file.relative})
    # A table stands in the place of slope and intercept (PS3.3 C.11.1): ignored, every value would be wrong.
    if has(header, "ModalityLUTSequence") and not tables:
        message = "expected a linear rescale, the object carries a modality look-up table"
        raise IngestError(IngestCode.NONLINEAR_LUT, message, {"file": item.file.relative})
    syntax = transfer_syntax(header)
    allocated = raw_int(header, 0x00280100, 16)
    stored = raw_int(header, 0x00280101, allocated)
    signed = raw_int(header, 0x00280103, 0) == 1
    limits = (stored_number(header, tag, signed=signed, bits=stored) for tag in (0x00280120, 0x00280121))
    # Float pixel data state no Bits Stored (PS3.3 C.7.6.24, C.7.6.25).
    floating = 0 if has(header, "BitsStored") or allocated not in (32, 64) else allocated // 8
    return PixelPlan(
        path=item.file.path,
        digest=item.file.digest,
        relative=item.file.relative,
        frame=item.frame,
        place=place,
        matrix=item.matrix,
        bits=(allocated, stored),
        signed=signed,
        high_bit=raw_int(header, 0x00280102, stored - 1),
        syntax=str(syntax) if syntax.is_encapsulated else "",
        frames=raw_int(header, 0x00280008, 1),
        photometric=raw_text(header, 0x00280004) or "MONOCHROME2",
        big_endian=str(syntax) == _BIG_ENDIAN,
        floating=floating,
        # MR and many others state no rescale: stored values are the values. Of CT the unit is settled elsewhere.
        slope=1.0 if item.slope is None else item.slope,
        intercept=0.0 if item.intercept is None else item.intercept,
        padding=_padding(*limits),
        cut_bits=cut_bits,
        keep_nan=keep_nan,
        picture=item.picture,
        corner=item.corner,
    )


def _padding(value: int | None, limit: int | None) -> tuple[float, float] | None:
    if value is None:
        return None
    other = value if limit is None else limit
    # The limit may lie on either side of the value (PS3.3 C.7.5.1.1.2).
    return float(min(value, other)), float(max(value, other))
