"""Pictures of any size brought to the size that networks see, and maps brought back: the aspect is kept, the rest is padded."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = TypeVar("Pixels", np.uint8, np.float32)


def letterbox(pixels: NDArray[Pixels], size: tuple[int, int]) -> tuple[NDArray[Pixels], NDArray[np.uint8]]:
    """Resize a picture keeping its aspect, each pixel the mean of those it stands for, and pad with zeros at the bottom and right.

    Args:
        pixels: [row, column]; uint8 stays uint8, rounded.
        size: rows and columns of the result.

    Returns:
        Pixels, and where they are real: 1, or 0 where they were padded.
    """
    rows, columns = inner_size((pixels.shape[0], pixels.shape[1]), size)
    small = np.asarray(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BOX))
    image, valid = np.zeros(size, dtype=pixels.dtype), np.zeros(size, dtype=np.uint8)
    image[:rows, :columns], valid[:rows, :columns] = small, 1
    return image, valid


def letterbox_mask(mask: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a mask [row, column] brought to size: a pixel belongs to it when more than half of the pixels it stands for do."""
    whole: NDArray[np.uint8] = (mask > 0).astype(np.uint8) * np.uint8(255)
    return (letterbox(whole, size)[0] > 127).astype(np.uint8)


def from_letterbox(
    values: NDArray[Any], shape: tuple[int, int], resampling: Image.Resampling = Image.Resampling.BILINEAR
) -> NDArray[np.float32]:
    """Return what lies on the real pixels of a letterboxed picture on the picture's own, float32 of ``shape``; padding is left out."""
    rows, columns = inner_size(shape, (values.shape[0], values.shape[1]))
    inner = np.ascontiguousarray(values[:rows, :columns], dtype=np.float32)
    return np.asarray(Image.fromarray(inner).resize((shape[1], shape[0]), resampling))


def inner_size(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns that a picture of some shape has inside a letterbox of some size."""
    scale = min(size[0] / shape[0], size[1] / shape[1])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
