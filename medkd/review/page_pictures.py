"""Slices of a study in three planes as pictures inside a page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medkd.pictures.colours import png
from medkd.review.grey_levels import Levels
from medkd.review.orientation_marks import View
from medkd.review.page_quality import Quality

#: Effort of the lossy compression (0 to 6): more of it takes twice as long for a twentieth fewer bytes.
_EFFORT = 2


#: Left, top, width and height that a picture takes, as shares of its plane.
Box = tuple[float, float, float, float]
Steps = tuple[int, int, int]


@dataclass(frozen=True)
class Drawn:
    """One plane of a study as it lies in a page.

    Attributes:
        view: the plane.
        places: voxel index of each of its slices along the plane's axis.
        steps: voxels that one pixel stands for, along each axis of the array.
        values: of the study, [slice, row, column].
    """

    view: View
    places: list[int]
    steps: Steps
    values: NDArray[np.float32]

    def picture(self, position: int, levels: Levels, loss: int | None) -> str:
        """Return the picture of a slice by its position among the plane's, as a ``data:`` URI."""
        step, axis = self.steps[self.view.axis], self.view.axis
        slab = self.values[tuple(slice(position * step, (position + 1) * step) if one == axis else slice(None) for one in range(3))]
        return data_uri(levels.encode(self.view.slice_of(reduced_by(slab, self.steps), 0)), loss)


def steps_of(shape: Sequence[int], quality: Quality) -> tuple[Steps, Steps]:
    """Return the voxels that a pixel stands for along each axis: of the acquired plane, of the two others.

    Args:
        shape: slices, rows, columns.
        quality: of the page.
    """
    step, coarse = (max(1, math.ceil(max(shape[1:]) / edge)) for edge in (quality.edge, quality.plane_edge))
    # Slices are mostly fewer than a slice's pixels: along them every voxel is kept, up to twice the edge.
    return (1, step, step), (max(1, math.ceil(shape[0] / (2 * quality.plane_edge))), coarse, coarse)


def drawn_planes(values: NDArray[np.float32], views: tuple[View, ...], quality: Quality) -> list[Drawn]:
    """Return the planes of a study as a page of a quality holds them, the acquired one first.

    Args:
        values: [slice, row, column].
        views: as :func:`~medkd.review.orientation_marks.views_of` gives them.
        quality: of the page.
    """
    own, others = steps_of(values.shape, quality)
    planes = [Drawn(views[0], list(range(values.shape[0])), own, values)]
    for view in views[1:]:
        step, size = others[view.axis], values.shape[view.axis]
        planes.append(Drawn(view, [min(begin + step // 2, size - 1) for begin in range(0, size, step)], others, values))
    return planes


def box_of(view: View, shape: Sequence[int], steps: Sequence[int]) -> Box:
    """Return what a reduced picture covers of its plane: where the pixels are no whole number of steps, its last one reaches beyond the edge.

    Args:
        view: the plane.
        shape: slices, rows, columns of the volume.
        steps: voxels that a pixel stands for along each of them.
    """
    height, width = (math.ceil(shape[axis] / steps[axis]) * steps[axis] / shape[axis] for axis in (view.down, view.right))
    left, top = (1 - width if view.flip_right else 0), (1 - height if view.flip_down else 0)
    return round(left, 6), round(top, 6), round(width, 6), round(height, 6)


def reduced_by(values: NDArray[np.float32], steps: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the means over blocks of voxels, each axis by its step; the last block of an axis may hold fewer."""
    found: NDArray[Any] = values
    for axis, step in enumerate(steps):
        if step == 1:
            continue
        found = np.moveaxis(found, axis, 0)
        total = np.array(found[::step], np.float32)
        # Many whole slices are added faster than each block by itself.
        for offset in range(1, step):
            part = found[offset::step]
            total[: len(part)] += part
        counts = np.full(len(total), step, np.float32)
        counts[-1] = len(found) - step * (len(total) - 1)
        found = np.moveaxis(total / counts.reshape(-1, *(1,) * (total.ndim - 1)), 0, axis)
    means: NDArray[np.float32] = found.astype(np.float32, copy=False)
    return means


def data_uri(pixels: NDArray[np.uint8], loss: int | None = None) -> str:
    """Return grey pixels [row, column] as a ``data:`` URI: PNG, or WebP of a quality from 0 to 100; the same pixels give the same bytes."""
    if loss is None:
        return uri_of("png", png(np.ascontiguousarray(pixels)))
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="WEBP", quality=loss, method=_EFFORT)
    return uri_of("webp", stream.getvalue())


def uri_of(kind: str, payload: bytes) -> str:
    """Return the bytes of a picture as a ``data:`` URI."""
    return f"data:image/{kind};base64," + base64.b64encode(payload).decode()


def near(key: int, reach: int, count: int) -> range:
    """Return the slices up to ``reach`` to each side of one, within ``count``."""
    return range(max(0, key - reach), min(count, key + reach + 1))


def joined(ranges: Iterable[range]) -> list[int]:
    """Return the numbers of all ranges, each once, ascending."""
    return sorted({place for one in ranges for place in one})
