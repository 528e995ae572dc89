"""The bits of a word that hold the value. Source: PS3.5 8.1.1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import IngestCode, IngestError
from medkd.dicom.pixel_plan import PixelPlan


def within_bits(values: NDArray[Any], plan: PixelPlan) -> tuple[NDArray[Any], bool]:
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
        # Nearly every slice: nothing is written above, and nothing has to be computed for all pixels.
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
    # A codec that knows values and no words has no upper bits: a header that speaks of them contradicts its pixels.
    if shift < 0 or high >= allocated or not plan.keeps_words:
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
