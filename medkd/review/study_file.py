"""The arrays of a report as one file beside it, from which a server shows single slices: no torch, nothing is read that is not shown.

``study.safetensors`` holds ``volume`` and ``further/N`` (int16 where that holds every value, else uint16 steps), a bit per voxel of every mask, and of every
map int8 steps of the square root of its share of the largest magnitude (small values, of which there are most, keep their sum); scales stand in the
file's metadata. Maps that would make the file large are kept round their key slice only, as the page does.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from data_contracts import ReviewReport, StoreError
from medkd.review.shown import StudyArrays, shown_in
from medkd.storage.store import write_bytes

NAME = "study.safetensors"
#: Bytes of all maps of a file together; more are kept round their key slice.
MOST_MAP_BYTES = 128 * 2**20
REACH = 8
_STEPS = 127
_TYPES = {"I16": np.int16, "U16": np.uint16, "I8": np.int8, "U8": np.uint8}


def write_study_file(path: Path, report: ReviewReport, arrays: StudyArrays) -> Path:
    """Write the arrays of a report, each [slice, row, column], and return the file."""
    tensors: dict[str, NDArray[Any]] = {}
    about: dict[str, Any] = {"shape": list(arrays.volume.shape)}
    for number, values in enumerate((arrays.volume, *arrays.further)):
        tensors[_image(number)], about[_image(number)] = _values(np.asarray(values))
    marked = {f"mask/{name}": mask for name, mask in arrays.masks().items()}
    for place, own in enumerate(arrays.explained):
        marked |= {f"{place}/{name.replace('mask/', 'region/')}": values > 0 for name, values in own.items() if name.startswith("mask/")}
    tensors |= {name: np.packbits(np.asarray(mask), axis=-1) for name, mask in marked.items()}
    maps = {
        f"{one.place}/{ref.tensor}": (one.finding.key_slice, arrays.explained[one.place][ref.tensor])
        for one in shown_in(report)
        for ref in one.maps
    }
    slices = arrays.volume.shape[0]
    whole = int(np.prod(arrays.volume.shape)) * len(maps) <= MOST_MAP_BYTES
    for name, (key, values) in maps.items():
        first, last = (0, slices) if whole else (max(0, key - REACH), min(slices, key + REACH + 1))
        tensors[name], limit = _map(np.asarray(values), first, last)
        about[name] = {"limit": limit, "first": first, "finite": bool(np.isfinite(values).all())}
    return write_bytes(path, save(tensors, metadata={"medkd": json.dumps(about, sort_keys=True)}))


def _values(values: NDArray[Any]) -> tuple[NDArray[Any], dict[str, float]]:
    """Return values as integers, and scale and offset that lead back: int16 as they are, or 65,535 steps between least and largest."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low >= -32768 and high <= 32767 and bool((values == np.rint(values)).all()):
        return values.astype(np.int16), {"scale": 1.0, "offset": 0.0}
    scale = (high - low) / 65535 or 1.0
    return np.rint((np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / scale).astype(np.uint16), {
        "scale": scale,
        "offset": low,
    }


def _map(values: NDArray[Any], first: int, last: int) -> tuple[NDArray[np.int8], float]:
    """Return the slices of a map in steps, and its largest magnitude anywhere; what is no number is shown as nothing."""
    finite = values[np.isfinite(values)]
    limit = float(np.abs(finite).max(initial=0.0))
    shares = np.nan_to_num(values[first:last].astype(np.float32), posinf=0.0, neginf=0.0) / np.float32(limit or 1.0)
    return np.rint(np.sign(shares) * np.sqrt(np.abs(shares)) * _STEPS).astype(np.int8), limit


def _shares(steps: NDArray[np.int8], limit: float) -> NDArray[np.float32]:
    """Return the values that steps stand for."""
    roots = steps.astype(np.float32) / np.float32(_STEPS)
    found: NDArray[np.float32] = roots * np.abs(roots) * np.float32(limit)
    return found


@dataclass(frozen=True)
class StudyFile:
    """An opened file: planes of it are read when they are asked for.

    Attributes:
        shape: slices, rows, columns.
        tensors: as they are kept.
        about: what the file says of each.
    """

    shape: tuple[int, int, int]
    tensors: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any]

    @property
    def masks(self) -> tuple[str, ...]:
        """Return the names of the masks: ``student``, ``teacher``, ``reference``."""
        return tuple(name.removeprefix("mask/") for name in self.tensors if name.startswith("mask/"))

    @property
    def images(self) -> int:
        """Return how many images of the study it holds: the volume, and what else a model saw."""
        return 1 + sum(name.startswith("further/") for name in self.tensors)

    def volume(self, image: int = 0) -> NDArray[np.float32]:
        """Return all values of an image, [slice, row, column]."""
        return self._real(self.tensors[_image(image)], image)

    def plane(self, axis: int, index: int) -> NDArray[np.float32]:
        """Return the values of a plane, the two other axes of the volume in their order.

        Args:
            axis: of the volume, that the plane stands on.
            index: along it.

        Raises:
            IndexError: outside of the volume.
        """
        return self._real(self.tensors["volume"][_at(axis, index, self.shape)])

    def codes(self, axis: int, index: int, image: int = 0) -> NDArray[np.integer[Any]]:
        """Return a plane of an image as it is kept, for :meth:`table`; as :meth:`plane` otherwise."""
        codes: NDArray[np.integer[Any]] = self.tensors[_image(image)][_at(axis, index, self.shape)]
        return codes

    def table(self, shade: Callable[[NDArray[np.float32]], NDArray[np.uint8]], image: int = 0) -> NDArray[np.uint8]:
        """Return what :meth:`codes` become by a function of values, for every code there can be: a plane is shaded by one look-up.

        Args:
            shade: values to grey.
            image: that the codes are of.
        """
        kind = self.tensors[_image(image)].dtype
        every = np.arange(2**16, dtype=np.uint16).view(kind)
        return shade(self._real(every, image))

    def sample(self, image: int = 0) -> NDArray[np.float32]:
        """Return about a million values of an image, evenly taken."""
        flat = self.tensors[_image(image)].reshape(-1)
        return self._real(flat[:: max(1, flat.size // 2**20)], image)

    def _real(self, values: NDArray[Any], image: int = 0) -> NDArray[np.float32]:
        how = self.about[_image(image)]
        real: NDArray[np.float32] = values.astype(np.float32) * np.float32(how["scale"]) + np.float32(how["offset"])
        return real

    def mask(self, name: str) -> NDArray[np.uint8]:
        """Return a mask, uint8 [slice, row, column]: ``mask/SOURCE``, or ``PLACE/region/NUMBER`` of a finding."""
        return np.unpackbits(self.tensors[name], axis=-1, count=self.shape[2])

    def limit(self, name: str) -> float:
        """Return the largest magnitude of a map."""
        return float(self.about[name]["limit"])

    def map(self, name: str) -> NDArray[np.float32]:
        """Return a map, [slice, row, column]; zero on slices that were not kept."""
        kept, how = self.tensors[name], self.about[name]
        whole = np.zeros(self.shape, np.float32)
        whole[how["first"] : how["first"] + len(kept)] = _shares(kept, how["limit"])
        return whole

    def kept(self, name: str) -> range:
        """Return the slices that were kept of a map."""
        return range(self.about[name]["first"], self.about[name]["first"] + len(self.tensors[name]))

    def map_plane(self, name: str, axis: int, index: int) -> NDArray[np.float32]:
        """Return a plane of a map, as :meth:`plane`."""
        kept, how = self.tensors[name], self.about[name]
        first = how["first"]
        _at(axis, index, self.shape)
        if axis == 0:
            inside = first <= index < first + len(kept)
            return _shares(kept[index - first], how["limit"]) if inside else np.zeros(self.shape[1:], np.float32)
        cut = kept[:, index, :] if axis == 1 else kept[:, :, index]
        found = np.zeros((self.shape[0], cut.shape[1]), np.float32)
        found[first : first + len(kept)] = _shares(cut, how["limit"])
        return found


def _image(number: int) -> str:
    """Return the tensor of an image; 0 is the one that findings lie on."""
    return f"further/{number}" if number else "volume"


def _at(axis: int, index: int, shape: tuple[int, int, int]) -> Any:
    if not 0 <= index < shape[axis]:
        raise IndexError(f"expected a plane from 0 to {shape[axis] - 1}, got {index}")
    return (slice(None),) * axis + (index,)


def open_study_file(path: Path) -> StudyFile:
    """Open a file; its bytes are mapped, not read.

    Raises:
        StoreError: ``STUDY_FILE`` when it is missing or none of ours.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(2**24, os.fstat(stream.fileno()).st_size):
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(stream.read(length))
            held = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        about = json.loads(header.pop("__metadata__")["medkd"])
        tensors = {
            name: np.frombuffer(
                held, _TYPES[one["dtype"]], count=int(np.prod(one["shape"])), offset=8 + length + one["data_offsets"][0]
            ).reshape(one["shape"])
            for name, one in header.items()
        }
        slices, rows, columns = about["shape"]
        return StudyFile((slices, rows, columns), tensors, about)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            "STUDY_FILE",
            f"expected the arrays of a report at {path.name} beside it, got none that can be read ({type(error).__name__}); make the report again",
        ) from error
