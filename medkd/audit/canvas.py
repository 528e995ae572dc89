"""Where a mark may be drawn on a picture: on real pixels, not on the lesion; drawn finely and averaged, as a scanner's picture is when it is resized."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation

#: A mark is drawn so many times finer than the network's grid: the strokes of letters are thinner than its pixels.
FINE = 4
#: No mark comes nearer to a lesion than this share of the picture's shorter side.
MARGIN = 0.02


@dataclass(frozen=True)
class Box:
    """A rectangle on the fine grid: first row and column, and the first that no longer belong to it."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class Canvas:
    """One picture that marks are drawn on.

    Attributes:
        lesion: bool [row, column]; no lesion is known where it is empty.
        valid: bool [row, column], False where the picture was padded.
    """

    lesion: NDArray[np.bool_]
    valid: NDArray[np.bool_]

    @property
    def inner(self) -> Box:
        """Return the real pixels' rectangle on the fine grid."""
        rows, columns = (np.flatnonzero(self.valid.any(axis)) for axis in (1, 0))
        return Box(int(rows[0]) * FINE, int(columns[0]) * FINE, (int(rows[-1]) + 1) * FINE, (int(columns[-1]) + 1) * FINE)

    @property
    def unit(self) -> float:
        """Return a hundredth of the shorter side of the real pixels, on the fine grid: what marks are measured by."""
        box = self.inner
        return min(box.bottom - box.top, box.right - box.left) / 100

    def forbidden(self) -> NDArray[np.bool_]:
        """Return where nothing may be drawn: the lesion with a margin, and padding."""
        reach = max(1, round(MARGIN * min(self.lesion.shape)))
        near = binary_dilation(self.lesion, iterations=reach) if self.lesion.any() else self.lesion
        return near | ~self.valid

    def lesion_box(self) -> Box:
        """Return the lesion's rectangle on the fine grid; the middle third where none is known."""
        if not self.lesion.any():
            box = self.inner
            height, width = (box.bottom - box.top) // 3, (box.right - box.left) // 3
            return Box(box.top + height, box.left + width, box.top + 2 * height, box.left + 2 * width)
        rows, columns = (np.flatnonzero(self.lesion.any(axis)) for axis in (1, 0))
        return Box(int(rows[0]) * FINE, int(columns[0]) * FINE, (int(rows[-1]) + 1) * FINE, (int(columns[-1]) + 1) * FINE)

    def free_corner(self, height: float, width: float, order: tuple[str, ...]) -> tuple[int, int]:
        """Return top and left of a rectangle in the first corner that has no lesion; in the one with least of it where all have.

        Args:
            height: of the rectangle on the fine grid.
            width: of the rectangle.
            order: corners as ``top left``, in the order in which they are tried.
        """
        box, gap = self.inner, round(2 * self.unit)
        tops = {"top": box.top + gap, "bottom": box.bottom - gap - round(height)}
        lefts = {"left": box.left + gap, "right": box.right - gap - round(width)}
        near = self.forbidden()

        def covered(corner: str) -> int:
            top, left = (tops | lefts)[corner.split()[0]], (tops | lefts)[corner.split()[1]]
            return int(near[top // FINE : round(top + height) // FINE + 1, left // FINE : round(left + width) // FINE + 1].sum())

        chosen = min(order, key=lambda corner: (covered(corner), order.index(corner)))
        return tops[chosen.split()[0]], lefts[chosen.split()[1]]


@dataclass(frozen=True)
class Layer:
    """A mark on a picture.

    Attributes:
        opacity: float32 [row, column] in [0, 1].
        value: float32 [row, column], 0 for the darkest and 1 for the brightest that the picture may hold.
    """

    opacity: NDArray[np.float32]
    value: NDArray[np.float32]

    @property
    def place(self) -> NDArray[np.bool_]:
        """Return the pixels that the mark covers visibly."""
        return self.opacity > 0.1


Painter = Callable[[ImageDraw.ImageDraw, ImageDraw.ImageDraw], None]


def paint(canvas: Canvas, painter: Painter) -> Layer:
    """Return what a painter draws, brought to the picture's grid; the lesion and its margin, and padding, stay as they are.

    Args:
        canvas: the picture.
        painter: draws on two fine grids: opacity and value, both of 8 bits.
    """
    rows, columns = canvas.lesion.shape
    opacity, value = (Image.new("L", (columns * FINE, rows * FINE), start) for start in (0, 255))
    painter(ImageDraw.Draw(opacity), ImageDraw.Draw(value))
    fine, shades = (np.asarray(image, dtype=np.float32) / 255 for image in (opacity, value))
    cover = _coarse(fine)
    # The mean of what was drawn, not of what lies beside it.
    shade = np.divide(_coarse(fine * shades), cover, out=np.ones_like(cover), where=cover > 0)
    return Layer(np.where(canvas.forbidden(), 0, cover).astype(np.float32), shade.astype(np.float32))


def _coarse(fine: NDArray[Any]) -> NDArray[Any]:
    rows, columns = fine.shape[0] // FINE, fine.shape[1] // FINE
    mean: NDArray[Any] = fine.reshape(rows, FINE, columns, FINE).mean((1, 3))
    return mean
