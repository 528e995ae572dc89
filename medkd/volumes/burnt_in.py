"""Burnt-in marks of grey pictures, found and painted over: letters in a line, and the crosses and x of calipers.

A simple detector of thin bright strokes. It finds a line of three letters or more, and crosses; it does not find single letters, frames, bars and
boxes, marks darker than their surroundings, strokes thicker than five pixels, or text beside which the tissue is as bright. In saturated pictures
it takes some speckle for letters: a share of its pixels, printed where it is used, is tissue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects, gaussian_filter, label, white_tophat

#: A stroke is brighter by so many greys than what a square of this side leaves of it.
_STROKE, _WIDTH = 55, 7
#: Height of letters in pixels, and how many stand in a line at least.
_HEIGHTS, _LETTERS = (6, 26), 3
#: Half lengths of the arms of crosses in pixels, and how like a cross a place must be (correlation).
_ARMS, _LIKENESS = (3, 4, 5), 0.63
#: What is painted over reaches so many pixels beyond what was found: strokes have soft edges.
_EDGE = 2


@dataclass(frozen=True)
class _Glyph:
    """One connected stroke: its rectangle and its number."""

    top: int
    left: int
    bottom: int
    right: int
    number: int

    def beside(self, other: _Glyph) -> bool:
        """Return whether both may stand in one line: as high, on one level, and near."""
        heights = (self.bottom - self.top, other.bottom - other.top)
        level = min(self.bottom, other.bottom) - max(self.top, other.top)
        gap = max(self.left, other.left) - min(self.right, other.right)
        return level >= 0.7 * min(heights) and max(heights) <= 1.5 * min(heights) and gap <= 1.3 * max(heights)

    @property
    def letters(self) -> int:
        """Return how many letters it may be: letters of small type touch one another."""
        return max(1, round((self.right - self.left) / (0.8 * (self.bottom - self.top))))

    def within(self, line: list[_Glyph]) -> bool:
        """Return whether it lies on the level of a line and touches it, or is a letter away from it."""
        top, bottom = min(one.top for one in line), max(one.bottom for one in line)
        left, right = min(one.left for one in line), max(one.right for one in line)
        height = bottom - top
        level = self.top >= top - 3 and self.bottom <= bottom + 3
        return level and self.left <= right + 1.5 * height and self.right >= left - 1.5 * height


def find_burnt_in(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where burnt-in marks lie in a grey picture [row, column]; nothing of a picture without any."""
    strokes = white_tophat(pixels, size=_WIDTH) >= _STROKE
    found = _letters(strokes, pixels) | _crosses(pixels, strokes)
    return binary_dilation(found, iterations=_EDGE) if found.any() else found


def paint_over(pixels: NDArray[np.uint8], marks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a picture whose marks are filled from around: a weighted mean of the nearest pixels that are none, wider where none is near."""
    filled, left = pixels.astype(np.float32), marks.copy()
    for sigma in (1.5, 3.0, 6.0, 12.0, 48.0):
        if not left.any():
            break
        known = (~left).astype(np.float32)
        weight = gaussian_filter(known, sigma)
        near = left & (weight > 0.05)
        filled[near] = (gaussian_filter(filled * known, sigma)[near]) / weight[near]
        left &= ~near
    return np.where(marks, np.clip(np.rint(filled), 0, 255), pixels).astype(np.uint8)


def without_burnt_in(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a grey picture without the marks that are found in it."""
    marks = find_burnt_in(pixels)
    return paint_over(pixels, marks) if marks.any() else pixels


def _letters(strokes: NDArray[np.bool_], pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    labels, _ = label(strokes, structure=np.ones((3, 3)))
    glyphs, near = [], []
    for number, box in enumerate(find_objects(labels), 1):
        height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
        glyph = _Glyph(box[0].start, box[1].start, box[0].stop, box[1].stop, number)
        if _HEIGHTS[0] <= height <= _HEIGHTS[1] and _even(pixels[box], labels[box] == number) and _written(labels[box] == number):
            glyphs.append(glyph)
        elif height <= _HEIGHTS[1] and width <= 8 * _HEIGHTS[1]:
            near.append(glyph)
    lines = [line for line in _lines(glyphs) if sum(glyph.letters for glyph in line) >= _LETTERS and _level(line)]
    chosen = [glyph.number for line in lines for glyph in line]
    # Letters whose strokes are broken, dots and cursors belong to the line that they stand in.
    for line in lines:
        for one in sorted(near, key=lambda glyph: glyph.left):
            if one.within(line):
                line.append(one)
                chosen.append(one.number)
    return np.isin(labels, chosen)


def _even(pixels: NDArray[np.uint8], stroke: NDArray[np.bool_]) -> bool:
    """Return whether a stroke is of one grey, as letters are and speckle is not: its upper half varies little."""
    values = np.sort(pixels[stroke].astype(float))
    return len(values) >= 6 and bool(values[len(values) // 2 :].std() <= 0.1 * values.max())


def _written(stroke: NDArray[np.bool_]) -> bool:
    """Return whether a stroke may be a letter, or letters that touch: along a wide one strokes and gaps alternate, in a band of tissue they do not."""
    height, width = stroke.shape
    changes = np.count_nonzero(np.diff(stroke.astype(np.int8), axis=1), axis=1)
    return bool(width <= 1.6 * height or (width <= 8 * height and float(changes[1:-1].mean()) >= 2.2 * width / height))


def _level(line: list[_Glyph]) -> bool:
    """Return whether a line is level: layers of tissue rise and fall."""
    heights = [one.bottom - one.top for one in line]
    return max(one.bottom for one in line) - min(one.top for one in line) <= 1.6 * float(np.median(heights))


def _lines(glyphs: list[_Glyph]) -> list[list[_Glyph]]:
    """Return glyphs in groups that stand beside one another."""
    lines: list[list[_Glyph]] = []
    for glyph in sorted(glyphs, key=lambda one: one.left):
        near = [line for line in lines if any(glyph.beside(other) for other in line[-4:])]
        joined = [*(one for line in near for one in line), glyph]
        lines = [line for line in lines if not any(line is one for one in near)] + [sorted(joined, key=lambda one: one.left)]
    return lines


def _crosses(pixels: NDArray[np.uint8], strokes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the strokes round places that look like a cross: only places on strokes are compared, which are few."""
    found = np.zeros(pixels.shape, dtype=bool)
    centres = np.argwhere(strokes)
    if not len(centres):
        return found
    for arm in _ARMS:
        reach = arm + 1
        windows = sliding_window_view(np.pad(pixels.astype(np.float32), reach, mode="edge"), (2 * reach + 1, 2 * reach + 1))
        patches = windows[centres[:, 0], centres[:, 1]].reshape(len(centres), -1)
        patches = patches - patches.mean(1, keepdims=True)
        lengths = np.maximum(np.linalg.norm(patches, axis=1), 1e-6)
        for shape in (_plus(arm), _times(arm)):
            wanted = shape.ravel() - shape.mean()
            likeness = patches @ (wanted / np.linalg.norm(wanted)).astype(np.float32) / lengths
            for row, column in centres[likeness >= _LIKENESS]:
                found[max(0, row - arm) : row + arm + 1, max(0, column - arm) : column + arm + 1] = True
    beside: NDArray[np.bool_] = binary_dilation(strokes)
    return found & beside


def _plus(arm: int) -> NDArray[np.bool_]:
    side = 2 * arm + 3
    shape = np.zeros((side, side), dtype=bool)
    shape[side // 2, 1:-1] = shape[1:-1, side // 2] = True
    return shape


def _times(arm: int) -> NDArray[np.bool_]:
    side = 2 * arm + 3
    shape = np.eye(side, dtype=bool) | np.eye(side, dtype=bool)[::-1]
    shape[[0, -1]] = False
    return shape
