"""From stored pixels to values in their unit (see ``units``): the bits that are stored, sign, rescale.

Decoding writes straight into the array it is given (a mapped file), so that a volume is never in memory twice and worker processes
send nothing back but numbers. This module imports neither torch nor any decoder before it is needed: workers start fast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import IngestCode, IngestError
from medkd.dicom.pixel_plan import PixelPlan
from medkd.dicom.stored_values import stored_and_cut


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


def _decode_into(target: NDArray[Any], plan: PixelPlan) -> SliceStats:
    stored, cut = stored_and_cut(plan)
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
    # A linear rescale has its extremes where the stored values have theirs, swapped under a negative slope.
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
