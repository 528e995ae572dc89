"""Axes of a source's arrays beside medkd's: which is which, and which run the other way."""

from __future__ import annotations

from collections.abc import Sequence

#: Where our axes (slice, row, column) point once volumes are brought to the patient's: nibabel's canonical order, read backwards.
_OURS = ("S", "A", "R")
_OPPOSITE = dict(zip("LRAPSI", "RLPAIS", strict=True))


def axes_and_flips(pointing: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the order of our axes, and which of those run the other way, that give a source's array; both empty where it is ours.

    Args:
        pointing: direction of growing index of each axis of the source's array, of ``L R A P S I``.

    >>> axes_and_flips("SPL")
    ((), (1, 2))
    >>> axes_and_flips("RAS")
    ((2, 1, 0), ())
    """
    order = tuple(next(place for place, letter in enumerate(_OURS) if letter in (one, _OPPOSITE[one])) for one in pointing)
    flips = tuple(place for place, one in enumerate(pointing) if one not in _OURS)
    return (() if order == (0, 1, 2) else order), flips


def in_our_order(values: Sequence[float], axes: Sequence[int]) -> list[float]:
    """Return a value for each of our axes, of values for each axis of a source's array."""
    order = axes or range(len(values))
    found = [0.0] * len(values)
    for value, axis in zip(values, order, strict=True):
        found[axis] = value
    return found
