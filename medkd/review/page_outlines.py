"""Outlines of masks as paths of SVG, in the pixels of a plane."""

from __future__ import annotations

import numpy as np
from contourpy import LineType, contour_generator
from numpy.typing import NDArray

from medkd.review.orientation_marks import View


def outlines_of(mask: NDArray[np.bool_], view: View, places: list[int]) -> dict[str, str]:
    """Return the path of a mask's outlines in each slice of a plane that holds any, by the slice's voxel index.

    Args:
        mask: [slice, row, column].
        view: the plane.
        places: voxel indices along the plane's axis that are drawn.
    """
    held = np.asarray(mask.any(axis=tuple(axis for axis in range(3) if axis != view.axis)))
    return {str(place): path_of(view.slice_of(mask, place)) for place in places if held[place]}


def path_of(mask: NDArray[np.generic]) -> str:
    """Return the SVG path of a mask's outlines in pixels, (0, 0) being the corner of the first pixel; steps are relative, in halves of pixels.

    Args:
        mask: [row, column].
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return ""
    top, left = int(rows[0]), int(columns[0])
    # Only what is marked is looked at: most of a slice is not.
    part = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.float64), 1)
    loops = contour_generator(z=part, line_type=LineType.Separate).lines(0.5)
    return "".join(_loop(np.asarray(loop) + np.array([left - 0.5, top - 0.5])) for loop in loops)


def _loop(points: NDArray[np.float64]) -> str:
    """Return a closed loop [point, (x, y)] without the points that lie on a straight line."""
    halves = np.rint(points[:-1] * 2).astype(int)
    before, after = halves - np.roll(halves, 1, 0), np.roll(halves, -1, 0) - halves
    corners = halves[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    steps = np.diff(corners, axis=0)
    start = f"M{_half(corners[0, 0])} {_half(corners[0, 1])}"
    return start + "l" + " ".join(f"{_half(x)} {_half(y)}" for x, y in steps) + "z"


def _half(value: int) -> str:
    return f"{value / 2:g}"
