"""Contours and warnings drawn on pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont
from skimage.measure import find_contours


def outline(draw: ImageDraw.ImageDraw, mask: NDArray[np.uint8], corner: tuple[int, int], colour: str, *, zoom: int) -> None:
    """Draw the contour of a mask [row, column] on an image that begins at ``corner`` and is enlarged ``zoom`` times."""
    for contour in find_contours(np.pad(mask.astype(float), 1), 0.5):
        points = [(corner[0] + (c - 0.5) * zoom, corner[1] + (r - 0.5) * zoom) for r, c in contour]
        draw.line(points, fill=colour, width=2)


#: A font by its size in pixels.
Fonts = Callable[[int], ImageFont.ImageFont | ImageFont.FreeTypeFont]


def write_over(draw: ImageDraw.ImageDraw, text: str, corner: tuple[int, int], width: int, fonts: Fonts = ImageFont.load_default) -> None:
    """Write a warning over the upper edge of a picture that begins at ``corner``; nothing where there is none."""
    if not text:
        return
    sizes = [size for size in range(14, 8, -1) if fonts(size).getlength(text) <= width - 8]
    font = fonts(max(sizes, default=8))
    draw.rectangle([corner, (corner[0] + width - 1, corner[1] + 21)], fill=(90, 12, 16))
    draw.text((corner[0] + width / 2, corner[1] + 11), text, fill=(255, 217, 217), font=font, anchor="mm")
