"""Contours to voxels, by one rule: a voxel belongs to a region when its centre lies in it or on its edge.

The region of a slice is what the contours enclose by the even-odd rule, together with its edge: inner contours are holes, keyholes are
holes, lines without area enclose nothing. Coordinates are rounded when they are written, so that a centre lies on the edge within that
rounding. Exporters trace masks from centre to centre of their outermost voxels: where all points of a contour are centres but for their
rounding, however coarse, the edge is as wide as the farthest of them is off. Source: PS3.3 C.8.8.6.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: A centre lies on an edge within this many voxels at least (rounding of affines), at most, and at most where centres were traced.
FINEST, COARSEST, TRACED = 1e-3, 0.02, 0.25
#: Directions in which the neighbourhood of a centre on an edge is probed for the inside.
_DIRECTIONS = 16


def precision_mm(values: Sequence[object]) -> float:
    """Return how far a point may lie from where it was meant, in mm: half of the last decimal place that occurs, in both axes of a plane.

    Args:
        values: coordinates as they were written.
    """
    decimals = max((_decimals(str(value)) for value in values), default=0)
    return float(0.5 * 10.0**-decimals * np.sqrt(2))


def _decimals(text: str) -> int:
    mantissa, _, exponent = text.strip().lower().partition("e")
    return len(mantissa.partition(".")[2].rstrip()) - int(exponent or 0)


def fill_contours(contours: Sequence[Points], shape: tuple[int, int], precision: float) -> Mask:
    """Return the voxels bool [row, column] of the region that closed contours enclose.

    Args:
        contours: points [n, 2] (row, column) in voxels; the last point is joined to the first.
        shape: rows, columns.
        precision: of the points, in voxels.
    """
    mask = np.zeros(shape, dtype=bool)
    drawn = [points for points in contours if len(points) > 2]
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
    near = max(_width(points, precision) for points in drawn)
    edge = _near(begin, end, near)
    edge = edge[((edge >= 0) & (edge < shape)).all(1)]
    if len(edge):
        # Whatever lies inside within reach makes it an edge of the region; between two lines that cancel each other nothing does.
        angles = np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS
        probes = edge[:, None, :] + 2 * near * np.stack([np.sin(angles), np.cos(angles)], axis=1)
        inside = _odd(probes.reshape(-1, 2), begin, end).reshape(-1, _DIRECTIONS)
        mask[edge[:, 0], edge[:, 1]] = inside.any(1)
    return mask


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
