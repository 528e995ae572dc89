"""Grey slices and signed heat as pixels: one diverging scale for all maps of one explainer, zero is transparent."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NEGATIVE, POSITIVE = (33, 102, 172), (214, 96, 20)
#: What is left of the colours of a map that failed a test, and how far its hatching is apart in pixels.
_PALE, _HATCH = 0.25, 4
#: Opacity of a failed map on the lines of its hatching and between them.
_OPACITY = (0.8, 0.25)
#: Steps of a palette to each side of zero.
_STEPS = 31
STUDENT, TEACHER, REFERENCE = "#ffd23f", "#4cc9f0", "#7bd88f"


def grey(values: NDArray[np.float32], window: tuple[float, float]) -> NDArray[np.uint8]:
    """Return 8-bit grey of values through a window."""
    low, high = window
    pixels: NDArray[np.uint8] = (np.clip((values - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)
    return pixels


def heat(values: NDArray[np.float32], limit: float, *, failed: bool = False) -> NDArray[np.uint8]:
    """Return RGBA of a signed map: blue below zero, orange above, opacity growing with |value| up to ``limit``.

    A map that failed a test is pale and hatched: nobody takes it for one that passed.
    """
    share = np.clip(values / limit, -1, 1) if limit > 0 else np.zeros_like(values)
    colour, alpha = _colours(share, failed=failed)
    if failed:
        alpha = alpha * np.where(_hatched(values.shape), *_OPACITY)
    return np.concatenate([colour, alpha.round()[..., None]], axis=-1).astype(np.uint8)


def heat_png(values: NDArray[np.float32], limit: float, *, failed: bool = False) -> bytes:
    """Return PNG bytes of a signed map [row, column] as :func:`heat` colours it, in steps of a thirty-first of ``limit``: a fifth of the bytes.

    What is not a number is transparent.
    """
    share = np.clip(np.nan_to_num(values) / limit, -1, 1) if limit > 0 else np.zeros(values.shape)
    indices = (np.rint(share * _STEPS) + _STEPS).astype(np.uint8)
    colour, alpha = _colours(np.arange(-_STEPS, _STEPS + 1) / _STEPS, failed=failed)
    if failed:
        # The second half of the palette is what lies between the lines.
        indices += np.where(_hatched(values.shape), 0, len(alpha)).astype(np.uint8)
        colour, alpha = np.concatenate([colour, colour]), np.concatenate([alpha * part for part in _OPACITY])
    picture = Image.fromarray(indices)
    picture.putpalette(colour.astype(np.uint8).tobytes(), "RGB")
    stream = io.BytesIO()
    picture.save(stream, format="PNG", transparency=alpha.round().astype(np.uint8).tobytes())
    return stream.getvalue()


def _colours(share: NDArray[Any], *, failed: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return RGB and opacity (0 to 255) of shares from -1 to 1."""
    colour = np.where(share[..., None] > 0, np.array(POSITIVE), np.array(NEGATIVE))
    if failed:
        colour = colour * _PALE + colour.mean(axis=-1, keepdims=True) * (1 - _PALE)
    return colour, (np.abs(share) ** 0.7 * 215).round()


def _hatched(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    lines: NDArray[np.bool_] = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) % _HATCH < _HATCH // 2
    return lines


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return PNG bytes of grey [row, column] or RGBA [row, column, 4] pixels; the same pixels give the same bytes."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")  # `optimize` takes ten times as long for 7 % fewer bytes
    return stream.getvalue()


def blend(base: NDArray[np.uint8], over: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGB of grey pixels with RGBA pixels laid over."""
    alpha = over[..., 3:].astype(np.float32) / 255
    return (base[..., None] * (1 - alpha) + over[..., :3] * alpha).round().astype(np.uint8)
