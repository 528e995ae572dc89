"""Whether two objects show the same: compared by stored pixels, whatever they are encoded in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data_contracts import IngestError
from medkd.dicom.found_file import FoundFile
from medkd.dicom.pixel_plan import plan_pixels
from medkd.dicom.slices import Slice, slices_of
from medkd.dicom.stored_values import stored_values

SameSlice = Callable[[Slice, Slice], bool]


def same_slice(first: Slice, second: Slice) -> bool:
    """Return whether two slices hold the same stored pixels and rescale; what cannot be compared is not the same."""
    if (first.slope, first.intercept) != (second.slope, second.intercept):
        return False
    try:
        # Bits that the header does not claim differ from writer to writer: they make no other image.
        return bool(np.array_equal(stored_values(plan_pixels(first, cut_bits=True)), stored_values(plan_pixels(second, cut_bits=True))))
    except IngestError:
        return False


def same_image(first: FoundFile, second: FoundFile, same: SameSlice = same_slice) -> bool:
    """Return whether two objects say the same in all but the encoding of their pixels."""
    try:
        pairs = zip(slices_of(first), slices_of(second), strict=True)
        return first.header == second.header and all(same(one, other) for one, other in pairs)
    except Exception:  # headers can be broken in ways no rule foresees
        return False
