"""The phantom's faulty cases: small series whose Hounsfield units are a known function of the patient position, each with one fault.

A site can write them, send them through its own archive and export, and see what comes back. The value at any voxel of any volume made
of them is known without looking at a file: :func:`hounsfield_at`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_contracts import DataError, IngestCode
from medkd.phantom.faulty_scan import VARIANTS, Scan, Variant, save_dataset
from medkd.phantom.scan_faults import (
    add_localizer,
    add_series,
    contradict_slice,
    drop_class,
    invert,
    lay_changed_spacing,
    lay_reversed,
    lay_tilted,
    lay_two_times,
    lay_whole,
    lose_slice,
    make_enhanced,
    pad,
    repeat_slice,
    vary_slopes,
)

Spoil = Callable[[Scan], None]
#: See :class:`FaultyCase`.
HALF = -1


@dataclass(frozen=True)
class FaultyCase:
    """One family of faults.

    Attributes:
        lay: makes the slices.
        spoil: spoils them, one after another.
        codes: of which ingestion by default must name one; empty where the case is accepted as it is.
        flags: which an accepted case must carry, by default or after repair.
        volumes: how many a right answer consists of, after repair.
        fills: slices that a repair has to invent; ``HALF`` where every second step of the second half is one.
        truncate: cut the middle slice's file short.
    """

    lay: Spoil
    spoil: tuple[Spoil, ...] = ()
    codes: frozenset[IngestCode] = frozenset()
    flags: frozenset[IngestCode] = frozenset()
    volumes: int = 1
    fills: int = 0
    truncate: bool = False

    def synthetic(self, variant: Variant) -> int:
        """Return how many slices a right repair invents."""
        return variant.slices // 2 if self.fills == HALF else self.fills


def _case(lay: Spoil, *spoil: Spoil, codes: tuple[IngestCode, ...] = (), flags: tuple[IngestCode, ...] = (), **more: Any) -> FaultyCase:
    return FaultyCase(lay, spoil, frozenset(codes), frozenset(flags), **more)


_C = IngestCode
#: What a file that breaks off is called: by its size, by its decoder, or, where the whole dataset is deflated, as unreadable.
_BROKEN = (_C.TRUNCATED_PIXELS, _C.DECODE_FAILED, _C.UNREADABLE_HEADER)
CASES: dict[str, FaultyCase] = {
    "regular": _case(lay_whole),
    "reversed": _case(lay_reversed),
    "gantry_tilt": _case(lay_tilted, codes=(_C.GANTRY_TILT,)),
    "missing_slice": _case(lay_whole, lose_slice, codes=(_C.MISSING_SLICES,), fills=1),
    "duplicate_slice": _case(lay_whole, repeat_slice, codes=(_C.DUPLICATE_POSITION,)),
    "duplicate_conflict": _case(lay_whole, contradict_slice, codes=(_C.DUPLICATE_CONFLICT,), fills=1),
    "spacing_change": _case(lay_changed_spacing, codes=(_C.VARIABLE_SPACING,), fills=HALF),
    "localizer_inside": _case(lay_whole, add_localizer),
    "two_series": _case(lay_whole, add_series, volumes=2),
    "two_time_points": _case(lay_two_times, volumes=2),
    "slope_per_slice": _case(lay_whole, vary_slopes),
    "monochrome1": _case(lay_whole, invert, flags=(_C.MONOCHROME1,)),
    "truncated_slice": _case(lay_whole, codes=_BROKEN, truncate=True, fills=1),
    "enhanced": _case(lay_whole, make_enhanced),
    "missing_sop_class": _case(lay_whole, drop_class, codes=(_C.MISSING_SOP_CLASS,)),
    "padding": _case(lay_whole, pad, flags=(_C.PADDING_VALUE,)),
    # Two faults at once.
    "tilt_and_missing": _case(lay_tilted, lose_slice, codes=(_C.GANTRY_TILT, _C.MISSING_SLICES), fills=1),
    "tilt_and_padding": _case(lay_tilted, pad, codes=(_C.GANTRY_TILT,), flags=(_C.PADDING_VALUE,)),
    "missing_and_duplicate": _case(lay_whole, lose_slice, repeat_slice, codes=(_C.MISSING_SLICES, _C.DUPLICATE_POSITION), fills=1),
    "reversed_and_missing": _case(lay_reversed, lose_slice, codes=(_C.MISSING_SLICES,), fills=1),
    "conflict_and_localizer": _case(lay_whole, contradict_slice, add_localizer, codes=(_C.DUPLICATE_CONFLICT,), fills=1),
    "times_and_missing": _case(lay_two_times, lose_slice, codes=(_C.MISSING_SLICES,), volumes=2, fills=1),
    "change_and_inverted": _case(lay_changed_spacing, invert, codes=(_C.VARIABLE_SPACING,), flags=(_C.MONOCHROME1,), fills=HALF),
    "truncated_and_slopes": _case(lay_whole, vary_slopes, codes=_BROKEN, truncate=True, fills=1),
    "enhanced_and_missing": _case(lay_whole, lose_slice, make_enhanced, codes=(_C.MISSING_SLICES,), fills=1),
    "series_and_class": _case(lay_whole, add_series, drop_class, codes=(_C.MISSING_SOP_CLASS,), volumes=2),
}
COMBINED = tuple(list(CASES)[-10:])


def find_case(name: str) -> FaultyCase:
    """Return a case by its name.

    Raises:
        DataError: ``CASE_UNKNOWN``.
    """
    if name not in CASES:
        raise DataError("CASE_UNKNOWN", f"expected one of {', '.join(CASES)}, got {name!r}")
    return CASES[name]


def write_case(out: Path, name: str, variant: Variant = VARIANTS[0], *, seed: int = 0) -> tuple[Path, ...]:
    """Write one faulty case as DICOM files and return their paths; the same seed writes the same bytes.

    Raises:
        DataError: ``CASE_UNKNOWN``.
    """
    case, scan = find_case(name), Scan(variant, seed, name)
    case.lay(scan)
    for spoil in case.spoil:
        spoil(scan)
    out.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(scan.datasets))
    paths = []
    for number, index in enumerate(order):
        path = out / f"IM{number:04d}.dcm"
        save_dataset(scan.datasets[index], path, variant.syntax)
        paths.append(path)
    if case.truncate:
        _truncate(paths[int(np.flatnonzero(order == len(order) // 2)[0])])
    return tuple(paths)


def _truncate(path: Path) -> None:
    payload = path.read_bytes()
    path.write_bytes(payload[: len(payload) - min(600, len(payload) // 4)])
