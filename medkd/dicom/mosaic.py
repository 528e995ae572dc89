"""Siemens mosaics: all slices of a volume tiled in one picture, row by row, in a square of as few tiles as hold them.

The header's position is that of a slice as large as the whole picture round the centre of the first one; the direction from tile to tile
stands only in the maker's CSA header. What is not verified there is refused: a stack in the wrong order looks like anatomy.
Source: nibabel, ``doc/dicom/dicom_mosaic`` (layout, position) and ``siemens_csa`` (format of the CSA header).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from data_contracts import IngestCode, IngestError
from medkd.dicom.raw_values import groups_of, raw_int, raw_text, read_numbers

#: A normal of the CSA header is that of the orientation to this cosine; positions of the protocol are those of the tiles to half a voxel.
SAME_DIRECTION, SAME_VOXELS = 0.999, 1.0
_MOST_TAGS, _MOST_ITEMS = 1000, 1000
_POSITION = re.compile(r"sSliceArray\.asSlice\[(\d+)\]\.sPosition\.d(Sag|Cor|Tra)\s*=\s*([-+0-9.eE]+)")
_AXES = ("Sag", "Cor", "Tra")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MosaicLayout:
    """How a mosaic is cut.

    Attributes:
        tiles: number of slices.
        across: tiles per row of tiles.
        matrix: rows, columns of a tile.
        step_mm: from a slice to the next, LPS mm.
    """

    tiles: int
    across: int
    matrix: tuple[int, int]
    step_mm: tuple[float, float, float]


def mosaic_layout(header: Dataset) -> MosaicLayout | None:
    """Return how a mosaic is cut, None for what is no mosaic.

    Raises:
        IngestError: ``MOSAIC``, with what the header does not say or contradicts.
    """
    # Asked of every slice of every series: what has no private elements of the maker needs no search for them.
    groups = groups_of(header)
    image = _csa(header, 0x10) if 0x0029 in groups else {}
    stated = _tiles_stated(header) if 0x0019 in groups else 0
    tiles = stated or int((_numbers(image, "NumberOfImagesInMosaic") or (0,))[0])
    if "MOSAIC" not in raw_text(header, 0x00080008).upper().split("\\") and tiles < 2:
        return None
    if tiles < 2:
        raise _refusal("how many slices it holds (NumberOfImagesInMosaic)", "number")
    rows, columns, across = raw_int(header, 0x00280010, 0), raw_int(header, 0x00280011, 0), int(np.ceil(np.sqrt(tiles)))
    if rows % across or columns % across or not rows or not columns:
        raise _refusal(f"tiles of whole pixels: {rows} x {columns} pixels hold no {across} x {across} tiles", "tiles")
    matrix = (rows // across, columns // across)
    step = _step(header, image, tiles)
    return MosaicLayout(tiles, across, matrix, (float(step[0]), float(step[1]), float(step[2])))


def _refusal(what: str, missing: str) -> IngestError:
    return IngestError(IngestCode.MOSAIC, f"expected a mosaic whose header says {what}; it does not", {"missing": missing})


def _tiles_stated(header: Dataset) -> int:
    try:
        block = header.private_block(0x0019, "SIEMENS MR HEADER")
        value = block[0x0A].value if 0x0A in block else 0
        # Of an unknown representation (implicit VR) it comes as bytes.
        return int.from_bytes(value[:2], "little") if isinstance(value, bytes) else int(value)
    except Exception:  # private elements are as their maker likes
        return 0


def _step(header: Dataset, image: dict[str, tuple[str, ...]], tiles: int) -> Array:
    """Return the way from a slice to the next in mm."""
    orientation = np.array(read_numbers(header, 0x00200037).values)
    position = np.array(read_numbers(header, 0x00200032).values)
    spacing = np.array(read_numbers(header, 0x00280030).values)
    if (len(orientation), len(position), len(spacing)) != (6, 3, 2):
        raise _refusal("position, orientation and spacing of the picture", "plane")
    normal, across = np.cross(orientation[:3], orientation[3:]), np.array(_numbers(image, "SliceNormalVector"))
    if across.shape != (3,):
        raise _refusal("in which direction its slices follow one another (SliceNormalVector in the CSA header)", "direction")
    if abs(float(across @ normal)) < SAME_DIRECTION * float(np.linalg.norm(across) * np.linalg.norm(normal)) or not across.any():
        raise _refusal("one normal: that of the CSA header is not that of the orientation", "direction")
    across = across / np.linalg.norm(across)
    between = read_numbers(header, 0x00180088).values or _numbers(image, "SpacingBetweenSlices")
    centres = _protocol(header, tiles)
    if centres is None:
        if not between or between[0] <= 0:
            raise _refusal("how far its slices lie apart (SpacingBetweenSlices)", "spacing")
        if (_numbers(image, "ProtocolSliceNumber") or (0,))[0] > 0:
            raise _refusal("where its first slice lies: they are numbered from the other end (ProtocolSliceNumber)", "order")
        return np.asarray(across * between[0])
    size = np.array([header.Rows, header.Columns], dtype=float)
    first = position + (orientation[:3] * spacing[1] * size[1] + orientation[3:] * spacing[0] * size[0]) / 2
    # The protocol lists the slices' centres: that of the first tile says from which end the tiles count.
    if np.linalg.norm(centres[0] - first) > np.linalg.norm(centres[-1] - first):
        centres = centres[::-1]
    step = np.asarray(centres[-1] - centres[0]) / (tiles - 1)
    off = np.abs(centres - (first + np.arange(tiles)[:, None] * step)).max()
    if off > SAME_VOXELS * spacing.max():
        raise _refusal(f"one place for each slice: those of the protocol and of the picture are {off:.1f} mm apart", "order")
    if float(step @ across) <= 0 or (between and abs(float(np.linalg.norm(step)) - between[0]) > 0.01 * between[0] + 0.01):
        raise _refusal("one order of its slices: the protocol and the CSA header's normal contradict one another", "order")
    return step


def _protocol(header: Dataset, tiles: int) -> Array | None:
    """Return the slices' centres [tile, 3] in LPS mm as the protocol lists them, None where it does not list them all."""
    text = "".join(_csa_bytes(header, 0x20).decode("latin-1", "replace"))
    found = {(int(number), axis): float(value) for number, axis, value in _POSITION.findall(text)}
    if {number for number, _ in found} != set(range(tiles)):
        return None
    # What is zero is not written.
    return np.array([[found.get((number, axis), 0.0) for axis in _AXES] for number in range(tiles)])


def _numbers(image: dict[str, tuple[str, ...]], name: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in image.get(name, ()))
    except ValueError:
        return ()


def _csa_bytes(header: Dataset, element: int) -> bytes:
    try:
        block = header.private_block(0x0029, "SIEMENS CSA HEADER")
        value: Any = block[element].value if element in block else b""
    except Exception:  # private elements are as their maker likes
        return b""
    return value if isinstance(value, bytes) else b""


def _csa(header: Dataset, element: int) -> dict[str, tuple[str, ...]]:
    """Return the values of a CSA header by name, empty where there is none that can be read."""
    payload = _csa_bytes(header, element)
    try:
        return _parse_csa(payload)
    except (struct.error, ValueError, IndexError):
        return {}


def _parse_csa(payload: bytes) -> dict[str, tuple[str, ...]]:
    second = payload[:4] == b"SV10"
    offset = 8 if second else 0
    (count,) = struct.unpack_from("<I", payload, offset)
    if not 1 <= count <= _MOST_TAGS:
        raise ValueError
    offset += 8
    found: dict[str, tuple[str, ...]] = {}
    first_items = 0
    for tag in range(count):
        name, multiplicity, _, _, items, _ = struct.unpack_from("<64si4siii", payload, offset)
        offset += 84
        first_items = items if tag == 0 else first_items
        values = []
        for item in range(min(items, _MOST_ITEMS)):
            lengths = struct.unpack_from("<4i", payload, offset)
            offset += 16
            length = lengths[1] if second else lengths[0] - first_items
            if length < 0 or offset + length > len(payload):
                if second:
                    raise ValueError
                break
            if item < (multiplicity or items):
                values.append(payload[offset : offset + length].split(b"\0", 1)[0].decode("latin-1").strip())
            offset += length + (-length % 4)
        found[name.split(b"\0", 1)[0].decode("latin-1")] = tuple(value for value in values if value)
    return found
