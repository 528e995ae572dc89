"""Contours to voxels, by one rule: a voxel belongs to a region when its centre lies in it or on its edge.

The region of a slice is what the contours enclose, together with their edges. One contour encloses by the even-odd rule: keyholes are holes,
lines without area enclose nothing. A contour wholly within another one is a hole of it, an island in the hole is inside again; contours that
overlap in part are united (:mod:`medkd.dicom.labels.nesting`). Only exclusive contours (CLOSEDPLANAR_XOR) take one another back where they
overlap. Coordinates are rounded when they are written, so that a centre lies on the edge within that
rounding. Exporters trace masks from centre to centre of their outermost voxels: where all points of a contour are centres but for their
rounding, however coarse, the edge is as wide as the farthest of them is off. Source: PS3.3 C.8.8.6.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medkd.dicom.labels.nesting import overlapping, unite, within

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]
#: Centres [n, 2] on the line of a contour, and which of them lie on the edge of what it encloses.
Edge = tuple[NDArray[np.int64], Mask]

#: A centre lies on an edge within this many voxels at least (rounding of affines), at most, and at most where centres were traced.
FINEST, COARSEST, TRACED = 1e-3, 0.02, 0.25
#: Directions in which the neighbourhood of a centre on an edge is probed for the inside.
_DIRECTIONS = 16
#: Where a centre on a line that encloses nothing is probed instead: two lines that should cancel may differ in their last bit.
_ASIDE = np.array([0.31, 0.23]) * FINEST


def precision_mm(values: Sequence[object]) -> float:
    """Return how far a point may lie from where it was meant, in mm: half of the last decimal place that occurs, along each of three axes.

    Args:
        values: coordinates as they were written.
    """
    decimals = max((_decimals(str(value)) for value in values), default=0)
    return float(0.5 * 10.0**-decimals * np.sqrt(3))


def _decimals(text: str) -> int:
    mantissa, _, exponent = text.strip().lower().partition("e")
    return len(mantissa.partition(".")[2].rstrip()) - int(exponent or 0)


def fill_contours(contours: Sequence[Points], shape: tuple[int, int], precision: float, *, exclusive: bool = False) -> Mask:
    """Return the voxels bool [row, column] of the region that closed contours enclose.

    Args:
        contours: points [n, 2] (row, column) in voxels; the last point is joined to the first.
        shape: rows, columns.
        precision: of the points, in voxels.
        exclusive: whether contours take one another back where they overlap, in part or not.
    """
    drawn = [points for points in contours if len(points) > 2]
    if not drawn:
        return np.zeros(shape, dtype=bool)
    # Edges of different contours may coincide (a ring of one voxel): each contour has its own. What a contour encloses within reach makes a
    # line its edge; where its line runs forth and back (a bridge, a keyhole) nothing is enclosed between.
    edges = [_edge(points, precision, shape) for points in drawn]
    meeting = [] if exclusive else overlapping(drawn)
    alone = sorted(set(range(len(drawn))) - set(meeting))
    mask = _enclosed([drawn[number] for number in alone], [edges[number] for number in alone], shape)
    if meeting:
        mask |= _united([drawn[number] for number in meeting], [edges[number] for number in meeting], shape, precision)
    for line, holds in edges:
        mask[line[holds][:, 0], line[holds][:, 1]] = True
    return mask


def _united(drawn: Sequence[Points], edges: Sequence[Edge], shape: tuple[int, int], precision: float) -> Mask:
    """Return the union of contours, each less the contours wholly within it."""
    # Both contours are rounded.
    reach = FINEST + 2 * min(precision, TRACED / 2)
    contained = within(drawn, reach, lambda points, contour: _odd(points, contour, np.roll(contour, -1, axis=0)))
    return unite([_enclosed([points], [edge], shape) for points, edge in zip(drawn, edges, strict=True)], drawn, contained)


def _enclosed(drawn: Sequence[Points], edges: Sequence[Edge], shape: tuple[int, int]) -> Mask:
    """Return the voxels bool [row, column] that contours enclose by the even-odd rule; those on an edge may be among them or not."""
    mask = np.zeros(shape, dtype=bool)
    if not drawn:
        return mask
    begin = np.concatenate(drawn)
    end = np.concatenate([np.roll(points, -1, axis=0) for points in drawn])
    low = np.maximum(np.floor(begin.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(begin.max(0)).astype(int) + 1, shape)
    if (low >= high).any():
        return mask
    row, crossing = _crossings(np.arange(low[0], high[0], dtype=float), begin, end)
    # An edge turns everything on its right from outside to inside, or back.
    turns = np.zeros((high[0] - low[0], high[1] - low[1] + 1), dtype=np.uint16)
    np.add.at(turns, (row, np.clip(np.ceil(crossing) - low[1], 0, high[1] - low[1]).astype(int)), 1)
    mask[low[0] : high[0], low[1] : high[1]] = np.cumsum(turns, axis=1)[:, :-1] % 2 == 1
    near_bridge = np.concatenate([line[~holds] for line, holds in edges])
    if len(near_bridge):
        mask[near_bridge[:, 0], near_bridge[:, 1]] = _odd(near_bridge.astype(float) + _ASIDE, begin, end)
    return mask


def _edge(points: Points, precision: float, shape: tuple[int, int]) -> Edge:
    """Return the centres [n, 2] on the line of one contour within the image, and which of them lie on the edge of what it encloses."""
    begin, end, near = points, np.roll(points, -1, axis=0), _width(points, precision)
    line = _near(begin, end, near)
    line = line[((line >= 0) & (line < shape)).all(1)]
    if not len(line):
        return line, np.zeros(0, dtype=bool)
    angles = np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS
    probes = line[:, None, :] + 2 * near * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    inside = _odd(probes.reshape(-1, 2), begin, end).reshape(-1, _DIRECTIONS)
    return line, np.asarray(inside.any(axis=1))


def _width(points: Points, precision: float) -> float:
    """Return how far from an edge of a contour a centre may lie that still lies on it, in voxels."""
    off = float(np.linalg.norm(points - np.rint(points), axis=1).max())
    wide = off + FINEST if off <= min(precision, TRACED) else FINEST
    return max(wide, min(precision, COARSEST))


def _odd(points: Points, begin: Points, end: Points) -> Mask:
    """Return which points [n, 2] (row, column) have an odd number of edges on their left."""
    rows, row_of = np.unique(points[:, 0], return_inverse=True)
    row, crossing = _crossings(rows, begin, end)
    left, right = points[:, 1].min(), points[:, 1].max()
    crossing = np.clip(crossing, left - 1, right + 1) - left + 1
    # One sorted list for all rows: each row has a stretch of its own.
    stretch = right - left + 4
    crossings = np.sort(row * stretch + crossing)
    before = np.searchsorted(crossings, row_of * stretch + points[:, 1] - left + 1)
    return np.asarray((before - np.searchsorted(crossings, row_of * stretch)) % 2 == 1)


def _crossings(rows: Points, begin: Points, end: Points) -> tuple[NDArray[np.int64], Points]:
    """Return where edges cross some rows (sorted): index of the row and column of each crossing; an edge holds its upper end only."""
    first = np.searchsorted(rows, np.minimum(begin[:, 0], end[:, 0]))
    count = np.searchsorted(rows, np.maximum(begin[:, 0], end[:, 0])) - first
    edge = np.repeat(np.arange(len(begin)), count)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    share = (rows[row] - begin[edge, 0]) / (end[edge, 0] - begin[edge, 0])
    return row, begin[edge, 1] + share * (end[edge, 1] - begin[edge, 1])


def _near(begin: Points, end: Points, near: float) -> NDArray[np.int64]:
    """Return the centres [n, 2] (row, column) that lie within ``near`` voxels of an edge, each once."""
    found = []
    step = end - begin
    steep = np.abs(step[:, 0]) >= np.abs(step[:, 1])
    for along, chosen in ((0, steep), (1, ~steep)):
        a, d = begin[chosen], step[chosen]
        low = np.ceil(np.minimum(a[:, along], a[:, along] + d[:, along]) - near).astype(int)
        high = np.floor(np.maximum(a[:, along], a[:, along] + d[:, along]) + near).astype(int)
        count = np.maximum(high - low + 1, 0)
        edge = np.repeat(np.arange(len(a)), count)
        place = low[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
        length = np.where(d[edge, along] == 0, 1, d[edge, along])
        share = np.clip((place - a[edge, along]) / length, 0, 1)
        across = np.rint(a[edge, 1 - along] + share * d[edge, 1 - along]).astype(int)
        centre = np.stack([place, across] if along == 0 else [across, place], axis=1)
        squared = np.maximum((d[edge] ** 2).sum(1), 1e-12)
        share = np.clip(((centre - a[edge]) * d[edge]).sum(1) / squared, 0, 1)
        distance = np.linalg.norm(a[edge] + share[:, None] * d[edge] - centre, axis=1)
        found.append(centre[distance <= near])
    return np.unique(np.concatenate(found), axis=0).astype(np.int64)
