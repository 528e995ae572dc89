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
        values: what pictures are drawn of, [slice, row, column], reduced by ``steps``.
    """

    view: View
    places: list[int]
    steps: Steps
    values: NDArray[np.float32]

    def picture(self, position: int, levels: Levels, loss: int | None) -> str:
        """Return the picture of a slice by its position among the plane's, as a ``data:`` URI."""
        return data_uri(levels.encode(self.view.slice_of(self.values, position)), loss)


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
    planes = [Drawn(views[0], list(range(values.shape[0])), own, reduced_by(values, own))]
    if len(views) > 1:
        small = reduced_by(values, others)
        for view in views[1:]:
            step, most = others[view.axis], values.shape[view.axis] - 1
            planes.append(Drawn(view, [min(at * step + step // 2, most) for at in range(small.shape[view.axis])], others, small))
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
        starts = np.arange(0, found.shape[axis], step)
        counts = np.diff([*starts, found.shape[axis]]).astype(np.float32)
        shape = [-1 if one == axis else 1 for one in range(found.ndim)]
        found = np.add.reduceat(found, starts, axis=axis) / counts.reshape(shape)
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
