"""Pictures for a person who wants to see what was ingested: three planes through the middle, in true proportions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_contracts import PictureGrid, VolumeRef
from medkd.storage.store import Store, write_bytes

#: Height of a plane in the picture, pixels, and the longest side a plane may have.
_HEIGHT, _LONGEST = 192, 384
_GAP = 6
_SYNTHETIC = (255, 140, 0)


def draw_volume(store: Store, volume: VolumeRef, path: Path) -> Path:
    """Draw a stored volume once: slice plane, and the two planes across it, in which synthetic slices are orange; a picture as it is shown.

    The name of the picture carries the volume's digest: an unchanged volume is not drawn again.
    """
    path = path.with_name(f"{path.stem}-{volume.array.sha256[:12]}.png")
    if path.is_file():
        return path
    for stale in path.parent.glob(f"{volume.series_key}-{'[0-9a-f]' * 12}.png"):
        stale.unlink()
    geometry = volume.geometry
    if isinstance(geometry, PictureGrid):
        return _draw_picture(open_mapped(store, volume, "picture"), geometry, path)
    values = open_mapped(store, volume)
    middle = [size // 2 for size in values.shape]
    planes = [np.asarray(values[middle[0]]), np.asarray(values[::-1, middle[1]]), np.asarray(values[::-1, :, middle[2]])]
    low, high = _window(planes[0])
    across, down, along = geometry.spacing_mm
    sizes = [(down, along), (across, along), (across, down)]
    pictures = [_grey(plane, low, high, size) for plane, size in zip(planes, sizes, strict=True)]
    marked = np.zeros(values.shape[0], dtype=bool)
    marked[list(volume.synthetic_slices)] = True
    pictures[1:] = [_mark(picture, marked[::-1]) for picture in pictures[1:]]
    _save(pictures, path)
    return path


def _draw_picture(shown: NDArray[Any], picture: PictureGrid, path: Path) -> Path:
    """Draw the middle frame of a picture as it is shown; pixels of unknown spacing are squares."""
    stated = picture.spacing
    spacing = (1.0, 1.0) if stated is None else (stated.between_rows_mm, stated.between_columns_mm)
    _save([_grey(np.asarray(shown[len(shown) // 2]), 0.0, 255.0, spacing)], path)
    return path


def draw_slice(values: NDArray[Any], spacing_mm: tuple[float, float], path: Path) -> Path:
    """Draw one slice [row, column]."""
    _save([_grey(values, *_window(values), spacing_mm)], path)
    return path


def open_mapped(store: Store, volume: VolumeRef, name: str = "volume") -> NDArray[Any]:
    """Return the voxels of a stored volume, or another tensor beside them, mapped: only what is looked at is read. The digest is not checked."""
    import json

    path = store.path(volume.array)
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        entry = json.loads(stream.read(length))[name]
    dtype = {"I16": np.int16, "F32": np.float32, "U8": np.uint8}[entry["dtype"]]
    return np.memmap(path, dtype=dtype, mode="r", offset=8 + length + entry["data_offsets"][0], shape=tuple(entry["shape"]))


def _window(plane: NDArray[Any]) -> tuple[float, float]:
    finite = plane[::4, ::4].astype(np.float32) if plane.size > 2**16 else plane.astype(np.float32)
    low, high = np.percentile(finite[np.isfinite(finite)], (1, 99)) if np.isfinite(finite).any() else (0.0, 1.0)
    return float(low), float(high) if high > low else float(low) + 1.0


def _grey(plane: NDArray[Any], low: float, high: float, spacing_mm: tuple[float, float]) -> Image.Image:
    height, width = plane.shape[0] * spacing_mm[0], plane.shape[1] * spacing_mm[1]
    scale = min(_HEIGHT / height, _LONGEST / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # What is much finer than the picture is thinned out before anything is computed.
    few = plane[:: max(1, plane.shape[0] // (2 * size[1])), :: max(1, plane.shape[1] // (2 * size[0]))]
    grey = np.clip((np.nan_to_num(few.astype(np.float32)) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR).convert("RGB")


def _mark(picture: Image.Image, marked: NDArray[np.bool_]) -> Image.Image:
    """Draw a bar at the left edge beside every marked row of the plane."""
    if not marked.any():
        return picture
    pixels = np.array(picture)
    rows = (np.arange(pixels.shape[0]) * len(marked)) // pixels.shape[0]
    pixels[marked[rows], : max(4, pixels.shape[1] // 30)] = _SYNTHETIC
    return Image.fromarray(pixels)


def _save(pictures: list[Image.Image], path: Path) -> None:
    width = sum(picture.width for picture in pictures) + _GAP * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, max(picture.height for picture in pictures)), (24, 24, 24))
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + _GAP
    from io import BytesIO

    buffer = BytesIO()
    sheet.save(buffer, "PNG", compress_level=1)
    write_bytes(path, buffer.getvalue())
