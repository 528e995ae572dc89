"""Look-up tables: modality, values of interest, palette. Source: PS3.3 C.11.1.1, C.11.2.1.1, C.7.6.3.1.5, C.7.6.3.1.6."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from data_contracts import IngestCode, IngestError

#: Bits of an entry that a table may have.
_BITS = range(8, 17)


@dataclass(frozen=True)
class LookupTable:
    """A table of values.

    Attributes:
        first: value that the first entry stands for; smaller ones take it too, as those above the last entry take the last.
        entries: uint16 [entry].
        bits: of an entry; the largest possible one is 2^bits - 1.
    """

    first: int
    entries: NDArray[np.uint16]
    bits: int

    @property
    def largest(self) -> int:
        """Return the largest value that an entry may have."""
        return (1 << self.bits) - 1

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """Return the entry of every value."""
        # In 64 bits: a table of 4096 entries of 8 bits is asked with indices that 8 bits do not hold.
        index = np.rint(values).astype(np.int64) - self.first
        found: NDArray[np.uint16] = self.entries[np.clip(index, 0, len(self.entries) - 1)]
        return found


def read_table(item: Dataset, descriptor: str, data: str, *, signed: bool) -> LookupTable:
    """Return a table of a header or of an item.

    Args:
        item: that holds it.
        descriptor: keyword of number of entries, first value, bits of an entry.
        data: keyword of the entries.
        signed: whether the values that are looked up are in two's complement: the first value is then too.

    Raises:
        IngestError: ``NONLINEAR_LUT`` for a table that contradicts itself.
    """
    try:
        described = [int(part) for part in item[descriptor].value]
        count, first, bits = described[0] & 0xFFFF or 1 << 16, described[1] & 0xFFFF, described[2]
        payload = item[data].value
    except Exception as error:  # a value that contradicts its representation breaks on access
        raise _contradicts(f"no {descriptor} and {data} that can be read ({type(error).__name__})") from error
    words = payload if isinstance(payload, bytes) else np.atleast_1d(np.asarray(payload)).astype("<u2").tobytes()
    # Entries of 8 bits lie in words of their own, or two in each word: the length says which. An odd number of bytes is padded.
    packed = bits == 8 and len(words) in (count, count + 1)
    entries = np.frombuffer(words, np.uint8 if packed else "<u2")[:count].astype(np.uint16)
    if bits not in _BITS or len(entries) != count or int(entries.max()) >= 1 << bits:
        raise _contradicts(f"{count} entries of {bits} bits stated, {len(entries)} there, the largest {int(entries.max(initial=0))}")
    return LookupTable(first - (1 << 16) if signed and first >= 1 << 15 else first, entries, bits)


def _contradicts(what: str) -> IngestError:
    return IngestError(IngestCode.NONLINEAR_LUT, f"expected a look-up table as its descriptor says, got {what}", {"table": what})
