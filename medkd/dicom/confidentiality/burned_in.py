"""Find the obvious text burned into pixels: lines of small, sharp, equally bright shapes, as consoles and workstations draw them.

A detector for the obvious, not a promise: handwriting, rotated or soft text passes. What it finds is acted on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: Heights of letters looked for, in pixels; how many of them make a line; how far apart they may stand, in heights.
_HEIGHTS, _FEWEST, _APART = (5, 48), 4, 1.6
#: Letters are drawn in one value, on ground that is at least this share of the value range darker or brighter.
_CONTRAST = 0.25
_FILLED = (0.12, 0.95)
#: Share of the value range over which the brightest letters may fade.
_SOFT = 0.2
#: The same share beside a line that was found, and how many heights of it beside is.
_SOFTER, _NEAR = 0.32, 3
#: Pixels of a letter that have exactly the value it was drawn in: noise reaches its highest value once.
_EXACT = 2
#: Values tried: drawn text has the brightest or one of the most frequent bright values of a picture.
_VALUES = 3


@dataclass(frozen=True)
class TextBox:
    """A line of text: rows and columns it covers, ends not included."""

    top: int
    left: int
    bottom: int
    right: int


def find_text(pixels: NDArray[Any]) -> tuple[TextBox, ...]:
    """Return boxes around lines of drawn text in one picture [row, column] (or [row, column, colour])."""
    grey = pixels.max(axis=2) if pixels.ndim == 3 else pixels
    grey = np.asarray(grey)
    low, high = int(grey.min()), int(grey.max())
    if high <= low or min(grey.shape) < _HEIGHTS[0] * 2:
        return ()
    boxes: list[TextBox] = []
    for value in _drawn_values(grey, low, high):
        # Smoothed letters fade at their edges; letters in the highest value may be cut out generously.
        soft = _SOFT * (high - low) if value == high else 0
        boxes += _lines(grey >= value - soft if value == high else grey == value, grey, value, _CONTRAST * (high - low))
    return tuple(boxes + [near for box in boxes for near in _beside(box, grey, low, high)])


def _beside(box: TextBox, grey: NDArray[Any], low: int, high: int) -> list[TextBox]:
    """Return lines above and below a line that was found: text seldom stands alone, and thin smooth letters reach no value of their own."""
    reach = _NEAR * (box.bottom - box.top)
    top, bottom = max(box.top - reach, 0), min(box.bottom + reach, grey.shape[0])
    strip = grey[top:bottom]
    found = _lines(strip >= high - _SOFTER * (high - low), strip, high, _CONTRAST * (high - low), exact=0)
    return [TextBox(line.top + top, line.left, line.bottom + top, line.right) for line in found]


def blank_text(pixels: NDArray[Any], boxes: tuple[TextBox, ...]) -> NDArray[Any]:
    """Return a copy in which every box, and two pixels around it, has the picture's lowest value."""
    result = np.array(pixels)
    for box in boxes:
        result[max(box.top - 2, 0) : box.bottom + 2, max(box.left - 2, 0) : box.right + 2] = pixels.min()
    return result


def _drawn_values(grey: NDArray[Any], low: int, high: int) -> list[int]:
    """Return the values that text may be drawn in: the highest, and bright ones that are far more frequent than their neighbours."""
    values, counts = np.unique(grey, return_counts=True)
    bright = values > low + 0.6 * (high - low)
    typical = np.median(counts[bright]) if bright.any() else 0
    peaks = [int(v) for v, c in sorted(zip(values[bright], counts[bright], strict=True), key=lambda p: -p[1]) if c > 8 * typical]
    return list(dict.fromkeys([high, *peaks[:_VALUES]]))


def _lines(drawn: NDArray[np.bool_], grey: NDArray[Any], value: int, contrast: float, exact: int = _EXACT) -> list[TextBox]:
    if drawn.mean() > 0.2:
        return []
    labels, count = ndimage.label(drawn, structure=np.ones((3, 3)))
    if not _FEWEST <= count < 20_000:
        return []
    letters = []
    for index, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if not (_HEIGHTS[0] <= height <= _HEIGHTS[1] and width <= 1.5 * height):
            continue
        own = labels[rows, columns] == index
        if np.count_nonzero(grey[rows, columns][own] == value) < exact:
            continue
        ground = grey[rows, columns][~own]
        if width == 1 or (_FILLED[0] <= own.mean() <= _FILLED[1] and ground.size and value - np.median(ground) >= contrast):
            letters.append((rows.start, columns.start, rows.stop, columns.stop))
    return [_extend(line, drawn) for line in _join(sorted(letters, key=lambda box: box[1]))]


def _extend(line: TextBox, drawn: NDArray[np.bool_]) -> TextBox:
    """Take in what is drawn beside a line and was no letter by itself: touching letters, thin ones, punctuation."""
    reach = round(_APART * (line.bottom - line.top))
    used = np.flatnonzero(drawn[line.top : line.bottom].any(axis=0))
    left, right = line.left, line.right
    while (near := used[(used < left) & (used >= left - reach)]).size:
        left = int(near.min())
    while (near := used[(used >= right) & (used < right + reach)]).size:
        right = int(near.max()) + 1
    return TextBox(line.top, left, line.bottom, right)


def _join(letters: list[tuple[int, int, int, int]]) -> list[TextBox]:
    """Join letters of one height that stand beside each other."""
    lines: list[list[tuple[int, int, int, int]]] = []
    for letter in letters:
        height = letter[2] - letter[0]
        for line in lines:
            last = line[-1]
            tall = last[2] - last[0]
            near = letter[1] - last[3] <= _APART * max(height, tall)
            if near and abs(letter[2] - last[2]) <= 0.35 * max(height, tall) and 0.5 <= height / tall <= 2:
                line.append(letter)
                break
        else:
            lines.append([letter])
    found = [
        line for line in lines if len(line) >= _FEWEST and len({box[3] - box[1] for box in line} | {box[2] - box[0] for box in line}) > 1
    ]
    return [TextBox(min(b[0] for b in line), min(b[1] for b in line), max(b[2] for b in line), max(b[3] for b in line)) for line in found]
