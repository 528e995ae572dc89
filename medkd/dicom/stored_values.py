"""The stored pixels of one slice, before any rescale: read as they lie in the file, or decoded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import UID

from data_contracts import IngestCode, IngestError
from medkd.dicom.bits_stored import within_bits
from medkd.dicom.pixel_plan import PixelPlan
from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.whole_object import contained, whole_dataset


def stored_values(plan: PixelPlan) -> NDArray[Any]:
    """Return the stored pixels [row, column] of a slice, before any rescale.

    Raises:
        IngestError: ``TRUNCATED_PIXELS``, ``UNSUPPORTED_TRANSFER_SYNTAX``, ``DECODE_FAILED``, ``BITS_MISMATCH``.
    """
    return stored_and_cut(plan)[0]


def stored_and_cut(plan: PixelPlan) -> tuple[NDArray[Any], bool]:
    """Return the stored pixels as :func:`stored_values`, and whether bits above those stored had to be cut."""
    values = _native(plan) if plan.plain else _decoded(plan)
    if values.shape != plan.whole:
        evidence = {"file": plan.relative, "shape": list(values.shape), "matrix": list(plan.whole)}
        raise IngestError(IngestCode.DECODE_FAILED, f"expected a picture of {plan.whole} pixels, got {values.shape}", evidence)
    if plan.picture is not None:
        (top, left), (rows, columns) = plan.corner, plan.matrix
        values = values[top : top + rows, left : left + columns]
    return (values, False) if plan.floating else within_bits(values, plan)


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
                return np.asarray(pixel_array(whole_dataset(plan.path, plan.digest), raw=True, index=index))
            options: dict[str, Any] = {
                "rows": plan.whole[0],
                "columns": plan.whole[1],
                "number_of_frames": plan.frames,
                "samples_per_pixel": 1,
                "photometric_interpretation": plan.photometric,
                "pixel_representation": int(plan.signed),
                "bits_allocated": plan.bits[0],
                # Run lengths keep whole words: a decoder that knew which bits are stored would cut the others without a word.
                "bits_stored": plan.bits[0] if plan.keeps_words else plan.bits[1],
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
