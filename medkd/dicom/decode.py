"""From stored pixels to values in their unit (see ``units``): the bits that are stored, sign, rescale.

Decoding writes straight into the array it is given (a mapped file), so that a volume is never in memory twice and worker processes
send nothing back but numbers. This module imports neither torch nor any decoder before it is needed: workers start fast.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import UID

from data_contracts import IngestCode, IngestError
from medkd.dicom.discover import FoundFile, PixelPlace, quiet_dicom, transfer_syntax
from medkd.dicom.raw_values import has, raw_int, raw_text, stored_number
from medkd.dicom.slices import Slice

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
    def exact(self) -> bool:
        """Return whether integers stay integers under the rescale."""
        return self.floating == 0 and self.slope.is_integer() and self.intercept.is_integer()


@dataclass(frozen=True)
class SliceStats:
    """What decoding met in one slice.

    Attributes:
        low: smallest value.
        high: largest value.
        padded: number of padding pixels.
        not_finite: number of values that are not finite.
        error: code, sentence and evidence where the slice could not be decoded.
        overflow: whether values did not fit into int16.
        cut: whether bits above those stored were cut.
    """

    low: float = 0.0
    high: float = 0.0
    padded: int = 0
    not_finite: int = 0
    error: tuple[IngestCode, str, dict[str, Any]] | None = None
    overflow: bool = False
    cut: bool = False


def plan_pixels(item: Slice, *, cut_bits: bool = False, keep_nan: bool = False) -> PixelPlan:
    """Return how a slice is decoded.

    Raises:
        IngestError: ``NO_PIXEL_DATA`` or ``NONLINEAR_LUT``. Without a rescale the slope is 1 and the intercept 0.
    """
    header, place = item.header, item.file.pixels
    if place is None:
        raise IngestError(IngestCode.NO_PIXEL_DATA, "expected pixel data, the object has none", {"file": item.file.relative})
    if has(header, "ModalityLUTSequence"):
        message = "expected a linear rescale, the object carries a modality look-up table"
        raise IngestError(IngestCode.NONLINEAR_LUT, message, {"file": item.file.relative})
    syntax = transfer_syntax(header)
    allocated = raw_int(header, 0x00280100, 16)
    stored = raw_int(header, 0x00280101, allocated)
    signed = raw_int(header, 0x00280103, 0) == 1
    limits = (stored_number(header, tag, signed=signed, bits=stored) for tag in (0x00280120, 0x00280121))
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
    return float(min(value, other)), float(max(value, other))


def decode_into(target: NDArray[Any], plan: PixelPlan) -> SliceStats:
    """Decode one slice into ``target`` [row, column] (int16 or float32), rescaled; errors come back in the statistics."""
    try:
        return _decode_into(target, plan)
    except IngestError as error:
        return SliceStats(error=(error.ingest_code, error.message, error.evidence))


def decode_part(job: tuple[tuple[Path, str, tuple[int, ...], int], Sequence[tuple[int, PixelPlan]]]) -> list[SliceStats]:
    """Decode some slices into their places of an array in a file: what a worker process is asked to do."""
    (path, dtype, shape, offset), part = job
    plane, stats = np.zeros(shape[1:], dtype), []
    # Written, not mapped: a map costs a fault of the machine for every page.
    with path.open("r+b") as stream:
        for place, plan in part:
            stats.append(decode_into(plane, plan))
            if stats[-1].error is None:
                stream.seek(offset + place * plane.nbytes)
                stream.write(plane.data)
    return stats


def stored_values(plan: PixelPlan) -> NDArray[Any]:
    """Return the stored pixels [row, column] of a slice, before any rescale.

    Raises:
        IngestError: ``TRUNCATED_PIXELS``, ``UNSUPPORTED_TRANSFER_SYNTAX``, ``DECODE_FAILED``, ``BITS_MISMATCH``.
    """
    return _stored(plan)[0]


@contextmanager
def contained() -> Iterator[None]:
    """Turn a panic of a compiled decoder, which is no ``Exception``, into one."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise RuntimeError("the decoder panicked") from error


def decode_frames(dataset: Dataset, *, purpose: str) -> NDArray[Any]:
    """Return the pixels of a whole object, [frame, row, column] or with colours last.

    Args:
        dataset: with its pixel data.
        purpose: what they are wanted for, as the refusal says it.

    Raises:
        IngestError: ``DECODE_FAILED``.
    """
    try:
        with contained():
            pixels = np.asarray(dataset.pixel_array)
    except Exception as error:  # decoders raise what they like
        raise IngestError(IngestCode.DECODE_FAILED, f"expected decodable {purpose} ({type(error).__name__})") from error
    return pixels if int(dataset.get("NumberOfFrames", 1) or 1) > 1 else pixels[None]


def decode_error(file: FoundFile) -> IngestCode | None:
    """Return why the pixels of an object cannot be decoded at all, None where they can; colour and odd depths do not matter."""
    try:
        with quiet_dicom(), contained():
            _ = _dataset(file.path, file.digest).pixel_array
    except IngestError as error:
        return error.ingest_code
    except Exception:  # decoders raise what they like
        return IngestCode.DECODE_FAILED
    return None


def _stored(plan: PixelPlan) -> tuple[NDArray[Any], bool]:
    values = _native(plan) if plan.plain else _decoded(plan)
    if values.shape != plan.whole:
        evidence = {"file": plan.relative, "shape": list(values.shape), "matrix": list(plan.whole)}
        raise IngestError(IngestCode.DECODE_FAILED, f"expected a picture of {plan.whole} pixels, got {values.shape}", evidence)
    if plan.picture is not None:
        (top, left), (rows, columns) = plan.corner, plan.matrix
        values = values[top : top + rows, left : left + columns]
    return (values, False) if plan.floating else _within_bits(values, plan)


def _native(plan: PixelPlan) -> NDArray[Any]:
    kind = "f" if plan.floating else ("i" if plan.signed else "u")
    dtype = np.dtype(f"{'>' if plan.big_endian else '<'}{kind}{plan.bits[0] // 8}")
    count = plan.whole[0] * plan.whole[1]
    begin = plan.frame * count * dtype.itemsize
    there = (plan.place.length or 0) - begin
    if there < count * dtype.itemsize:
        evidence = {"file": plan.relative, "frame": plan.frame, "expected_bytes": count * dtype.itemsize, "bytes": max(there, 0)}
        message = f"expected {count * dtype.itemsize} bytes of pixel data, got {max(there, 0)}"
        raise IngestError(IngestCode.TRUNCATED_PIXELS, message, evidence)
    values = np.empty(plan.whole, dtype)
    view, done = values.reshape(-1).view(np.uint8).data, 0
    with plan.path.open("rb", buffering=0) as stream:
        stream.seek((plan.place.offset or 0) + begin)
        while done < len(view) and (read := stream.readinto(view[done:])):
            done += read
    if done < len(view):  # since its header was read
        evidence = {"file": plan.relative, "frame": plan.frame, "expected_bytes": len(view), "bytes": done}
        raise IngestError(IngestCode.TRUNCATED_PIXELS, f"expected {len(view)} bytes of pixel data, got {done}", evidence)
    return values


def _decoded(plan: PixelPlan) -> NDArray[Any]:
    index = plan.frame if plan.frames > 1 else None
    try:
        with quiet_dicom(), contained():
            if not plan.syntax or plan.place.offset is None:
                return np.asarray(pixel_array(_dataset(plan.path, plan.digest), raw=True, index=index))
            options: dict[str, Any] = {
                "rows": plan.whole[0],
                "columns": plan.whole[1],
                "number_of_frames": plan.frames,
                "samples_per_pixel": 1,
                "photometric_interpretation": plan.photometric,
                "pixel_representation": int(plan.signed),
                "bits_allocated": plan.bits[0],
                # Run lengths keep whole words: a decoder that knew which bits are stored would cut the others without a word.
                "bits_stored": plan.bits[0] if plan.syntax.startswith(_RLE) else plan.bits[1],
                "pixel_keyword": "PixelData",
            }
            source = _encapsulated(plan.path, plan.digest, plan.place.offset)
            return np.asarray(get_decoder(UID(plan.syntax)).as_array(source, raw=True, index=index, **options)[0])
    except IngestError:
        raise
    except Exception as error:  # decoders raise what they like; the class of error is the evidence
        evidence = {"file": plan.relative, "error": type(error).__name__}
        if "transfer syntax" in str(error).lower() and isinstance(error, NotImplementedError | RuntimeError):
            message = "expected a transfer syntax that can be decoded here"
            raise IngestError(IngestCode.UNSUPPORTED_TRANSFER_SYNTAX, message, evidence) from error
        message = f"expected decodable pixel data, the decoder stopped ({type(error).__name__})"
        raise IngestError(IngestCode.DECODE_FAILED, message, evidence) from error


@lru_cache(maxsize=1)
def _encapsulated(path: Path, digest: str, offset: int) -> bytes:  # noqa: ARG001 - part of the key
    """Return the encapsulated pixel data of a file; frames of one file follow one another."""
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read()


@lru_cache(maxsize=1)
def _dataset(path: Path, digest: str) -> Dataset:  # noqa: ARG001 - part of the key
    """Return a whole dataset, where pixels are not in the file as they are, or not in a depth that can be read plainly."""
    dataset = dcmread(path, force=True)
    if "PixelData" not in dataset:
        # Elements that break off inside the pixel data are not read at all.
        raise IngestError(IngestCode.TRUNCATED_PIXELS, f"expected whole pixel data, they break off: {len(dataset)} elements were read", {})
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = transfer_syntax(dataset)
    return dataset


def _within_bits(values: NDArray[Any], plan: PixelPlan) -> tuple[NDArray[Any], bool]:
    """Return values that fit the bits stored, and whether any had to be cut. Source: PS3.5 8.1.1."""
    allocated, stored = plan.bits
    if values.dtype.kind not in "iu":
        return values, False
    if stored < 1:
        raise IngestError(IngestCode.BITS_MISMATCH, f"expected at least one bit stored, got {stored}", {"file": plan.relative})
    if plan.raised:
        return _lowered(values, plan)
    if stored >= allocated:
        return values, False
    width = values.dtype.itemsize * 8
    if plan.signed:
        # Bits above the sign may be anything that repeats the sign, or nothing: both mean the same number.
        shifted = (values.astype(f"i{values.dtype.itemsize}") << (width - stored)) >> (width - stored)
        foreign = (values != shifted) & (values.astype(np.int64) >> stored != 0)
    else:
        if int(values.max(initial=0)) >> stored == 0:
            return values, False
        shifted = values & ((1 << stored) - 1)
        foreign = values != shifted
    if not foreign.any():
        return shifted, False
    if not plan.cut_bits:
        evidence = {"file": plan.relative, "bits_stored": stored, "largest": int(np.abs(values.astype(np.int64)).max())}
        raise IngestError(IngestCode.BITS_MISMATCH, f"expected values of {stored} bits, some need more", evidence)
    return shifted, True


def _lowered(values: NDArray[Any], plan: PixelPlan) -> tuple[NDArray[Any], bool]:
    """Return values that lie in the upper bits of their words, and whether bits above them had to be cut. Source: PS3.5 8.1.1.

    Raises:
        IngestError: ``BITS_MISMATCH`` where the header contradicts itself or the words; also under a policy that cuts, where the values may
            as well lie in the lower bits: sixteen times as much is no repair.
    """
    (allocated, stored), high, shift = plan.bits, plan.high_bit, plan.raised
    evidence = {"file": plan.relative, "bits_allocated": allocated, "bits_stored": stored, "high_bit": high}
    if shift < 0 or high >= allocated or (plan.syntax and not plan.syntax.startswith(_RLE)):
        message = f"expected a HighBit of BitsStored - 1, that is {stored - 1}, or a word that holds both, got {high}"
        raise IngestError(IngestCode.BITS_MISMATCH, message, evidence)
    size = values.dtype.itemsize
    words = values.astype(f"u{size}")
    below, above = words & words.dtype.type((1 << shift) - 1), words >> (high + 1) if high + 1 < size * 8 else np.zeros_like(words)
    if below.any():
        message = f"expected values in the {stored} bits up to bit {high}, as HighBit says, bits below them are used too"
        raise IngestError(IngestCode.BITS_MISMATCH, message, evidence)
    if plan.signed:
        room = size * 8 - high - 1
        lowered = (words << room).view(f"i{size}") >> (room + shift)
        foreign = (above != 0) & (above != words.dtype.type((1 << room) - 1))
    else:
        lowered = (words >> shift) & words.dtype.type((1 << stored) - 1)
        foreign = above != 0
    if foreign.any() and not plan.cut_bits:
        raise IngestError(IngestCode.BITS_MISMATCH, f"expected values of {stored} bits up to bit {high}, some need more", evidence)
    return lowered, bool(foreign.any())


def _decode_into(target: NDArray[Any], plan: PixelPlan) -> SliceStats:
    stored, cut = _stored(plan)
    padded = 0 if plan.padding is None else int(((stored >= plan.padding[0]) & (stored <= plan.padding[1])).sum())
    if not (math.isfinite(plan.slope) and math.isfinite(plan.intercept)):
        raise IngestError(
            IngestCode.NAN_OR_INF, f"expected a finite slope and intercept, got {plan.slope} and {plan.intercept}", {"file": plan.relative}
        )
    if plan.floating:
        finite = np.isfinite(stored)
        bad = int((~finite).sum())
        if bad and not plan.keep_nan:
            raise IngestError(
                IngestCode.NAN_OR_INF, f"expected finite values, {bad} of {stored.size} are not", {"file": plan.relative, "count": bad}
            )
        target[...] = stored.astype(np.float64) * plan.slope + plan.intercept
        known = target[finite] if bad else target
        return SliceStats(float(known.min(initial=0)), float(known.max(initial=0)), padded, bad)
    low, high = (float(edge) * plan.slope + plan.intercept for edge in (int(stored.min()), int(stored.max())))
    low, high = min(low, high), max(low, high)
    if target.dtype == np.int16:
        if low < -32768 or high > 32767:
            return SliceStats(low, high, overflow=True)
        # In 16 bits: the result fits, so that wrapping on the way is undone by wrapping back.
        same = stored.dtype.isnative and stored.dtype.itemsize == 2
        source = stored.view(np.int16) if same else stored.astype(np.int16)
        slope, intercept = (np.array(int(value)).astype(np.int16) for value in (plan.slope, plan.intercept))
        if plan.slope != 1:
            source = source * slope
        np.add(source, intercept, out=target)
    else:
        target[...] = stored.astype(np.float64) * plan.slope + plan.intercept
    return SliceStats(low, high, padded, cut=cut)
