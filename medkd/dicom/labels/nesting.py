"""How the closed contours of one region lie to one another on a slice: within, or partly over one another.

A contour that lies wholly within another one is a hole of it, what lies within the hole is an island again. Contours that overlap in part
are united, and each is cut by what lies wholly within it only. Source: PS3.3 C.8.8.6.3 speaks of inner and outer contours; what overlaps in
part it leaves open, and nothing that was drawn twice was drawn to be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]
#: Which points [n, 2] lie inside of a contour by the even-odd rule.
Inside = Callable[[Points, Points], Mask]

#: Edges are looked at in steps of this many voxels at most.
STEP = 0.5


def overlapping(contours: Sequence[Points]) -> list[int]:
    """Return the contours whose boxes overlap another's: nothing is within any other one."""
    low, high = np.array([points.min(0) for points in contours]), np.array([points.max(0) for points in contours])
    return [number for number in range(len(contours)) if ((low <= high[number]) & (low[number] <= high)).all(1).sum() > 1]


def within(contours: Sequence[Points], reach: float, inside: Inside) -> Mask:
    """Return which contour (first index) lies wholly within which other one (second index), bool [n, n].

    Args:
        contours: points [n, 2] (row, column) in voxels.
        reach: how far beyond the other's edge a point may lie that was meant on it, in voxels.
        inside: the even-odd rule.
    """
    found = np.zeros((len(contours), len(contours)), dtype=bool)
    areas = [_area(points) for points in contours]
    low, high = np.array([points.min(0) for points in contours]), np.array([points.max(0) for points in contours])
    for inner, points in enumerate(contours):
        for outer in np.flatnonzero(((low[inner] >= low - reach) & (high[inner] <= high + reach)).all(1)).tolist():
            # The order of areas rules circles out. Of two that are one but for their rounding neither is a hole.
            if (areas[inner], inner) < (areas[outer], outer):
                other = contours[outer]
                found[inner, outer] = _holds(other, points, reach, inside) and not _holds(points, other, reach, inside)
    return found


def _holds(outer: Points, inner: Points, reach: float, inside: Inside) -> bool:
    """Return whether a contour lies wholly within another: its edge does, and no corner of the other (a keyhole's) lies in it."""
    if not (inside(edge := _along(inner), outer) | _close(edge, outer, reach)).all():
        return False
    return not bool((inside(outer, inner) & ~_close(outer, inner, reach)).any())


def _along(points: Points) -> Points:
    """Return points of an edge in steps of at most :data:`STEP` voxels, its corners among them."""
    step = np.roll(points, -1, axis=0) - points
    count = np.maximum(np.ceil(np.linalg.norm(step, axis=1) / STEP).astype(int), 1)
    edge = np.repeat(np.arange(len(points)), count)
    place = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    return np.asarray(points[edge] + step[edge] * (place / count[edge])[:, None])


def _close(points: Points, contour: Points, reach: float) -> Mask:
    """Return which points [n, 2] lie within ``reach`` of the edge of a contour."""
    begin, step = contour, np.roll(contour, -1, axis=0) - contour
    squared = np.maximum((step**2).sum(1), 1e-12)
    found = np.zeros(len(points), dtype=bool)
    # Some hundred points at a time: the distances to all edges of a long contour need not be in memory at once.
    for start in range(0, len(points), 256):
        off = points[start : start + 256, None, :] - begin[None]
        share = np.clip((off * step).sum(2) / squared, 0, 1)
        found[start : start + 256] = (np.linalg.norm(off - share[..., None] * step, axis=2) <= reach).any(1)
    return found


def unite(enclosed: Sequence[Mask], contours: Sequence[Points], contained: Mask) -> Mask:
    """Return the union of all contours, each less what lies wholly within it.

    Args:
        enclosed: voxels of each contour alone, bool [row, column].
        contours: their points.
        contained: of :func:`within`.
    """
    order = sorted(range(len(contours)), key=lambda number: (_area(contours[number]), number))
    regions: dict[int, Mask] = {}
    for number in order:  # the smallest first: what lies within a contour is known before it
        held = [other for other in order if contained[other, number]]
        outermost = [other for other in held if not any(contained[other, between] for between in held)]
        region = enclosed[number].copy()
        for other in outermost:
            region &= ~regions[other]
        regions[number] = region
    return np.asarray(np.any([regions[number] for number in order if not contained[number].any()], axis=0))


def _area(points: Points) -> float:
    y, x = points.T
    return float(abs(np.dot(y, np.roll(x, -1)) - np.dot(x, np.roll(y, -1))) / 2)
