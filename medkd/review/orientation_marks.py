"""Which side of a picture is which side of the patient, in every plane: read from the affine, nowhere else."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data_contracts import Geometry, PictureGrid

PlaneName = Literal["axial", "coronal", "sagittal", "frame"]


class Side(StrEnum):
    """Directions of the patient in LPS: +x left, +y posterior, +z head (superior)."""

    LEFT = "L"
    RIGHT = "R"
    POSTERIOR = "P"
    ANTERIOR = "A"
    SUPERIOR = "S"
    INFERIOR = "I"


_POSITIVE = (Side.LEFT, Side.POSTERIOR, Side.SUPERIOR)
_NEGATIVE = (Side.RIGHT, Side.ANTERIOR, Side.INFERIOR)
#: The plane that a patient axis (x, y, z) stands on.
_PLANES: tuple[PlaneName, PlaneName, PlaneName] = ("sagittal", "coronal", "axial")
#: Of each plane the patient axis that points to the right edge and the one that points down, as radiologists are used to see it; -1 turns it.
_RIGHT = {"axial": (0, 1), "coronal": (0, 1), "sagittal": (1, 1)}
_DOWN = {"axial": (1, 1), "coronal": (2, -1), "sagittal": (2, -1)}


@dataclass(frozen=True)
class View:
    """How a volume is drawn in one plane.

    Attributes:
        name: of the plane; ``frame`` of a picture, which has no place in the patient.
        axis: array axis that is turned over, slice by slice.
        down: array axis of the picture's rows.
        right: array axis of its columns.
        flip_down: whether rows are drawn from the last to the first.
        flip_right: whether columns are.
        spacing: of rows and of columns, mm; None where it is not known.
        marks: what lies at the left, right, top and bottom edge; empty of a picture.
    """

    name: PlaneName
    axis: int
    down: int
    right: int
    flip_down: bool
    flip_right: bool
    spacing: tuple[float, float] | None
    marks: dict[str, Side]

    def slice_of(self, values: NDArray[Any], index: int) -> NDArray[Any]:
        """Return the picture [row, column] of an array [slice, row, column] as it is drawn: turned, never resampled."""
        at: tuple[Any, ...] = tuple(index if axis == self.axis else slice(None) for axis in range(3))
        plane = values[at] if self.down < self.right else values[at].T
        turned: NDArray[Any] = plane[:: -1 if self.flip_down else 1, :: -1 if self.flip_right else 1]
        return turned


def direction_of(vector_lps: tuple[float, float, float]) -> Side:
    """Return the patient direction that a world vector points to most."""
    axis = int(np.argmax(np.abs(vector_lps)))
    return _POSITIVE[axis] if vector_lps[axis] > 0 else _NEGATIVE[axis]


def picture_marks(geometry: Geometry) -> dict[str, Side]:
    """Return what lies at the left, right, top and bottom edge of a slice drawn with rows downwards and columns rightwards."""
    affine = np.asarray(geometry.affine_lps_mm)[:3, :3]
    return _marks(affine[:, 1], affine[:, 2])


def views_of(geometry: Geometry | PictureGrid) -> tuple[View, ...]:
    """Return how a volume is drawn: the plane it was acquired in first, as it was acquired, then the two others as radiologists see them.

    A single slice, or a picture, has one view.
    """
    if isinstance(geometry, PictureGrid):
        stated = geometry.spacing
        spacing = None if stated is None else (stated.between_rows_mm, stated.between_columns_mm)
        return (View("frame", 0, 1, 2, False, False, spacing, {}),)
    affine = np.asarray(geometry.affine_lps_mm)[:3, :3]
    patient = _patient_axes(affine)
    lengths = np.linalg.norm(affine, axis=0)
    acquired = View(_PLANES[patient[0]], 0, 1, 2, False, False, (float(lengths[1]), float(lengths[2])), _marks(affine[:, 1], affine[:, 2]))
    if geometry.shape[0] == 1:
        return (acquired,)
    return (acquired, *(_reformatted(affine, patient, axis) for axis in sorted((1, 2), key=lambda one: -patient[one])))


def _reformatted(affine: NDArray[np.float64], patient: tuple[int, ...], axis: int) -> View:
    name = _PLANES[patient[axis]]
    (to_right, right_sign), (to_down, down_sign) = _RIGHT[name], _DOWN[name]
    right, down = patient.index(to_right), patient.index(to_down)
    flip_right = bool(affine[to_right, right] * right_sign < 0)
    flip_down = bool(affine[to_down, down] * down_sign < 0)
    marks = _marks(affine[:, down] * (-1 if flip_down else 1), affine[:, right] * (-1 if flip_right else 1))
    lengths = np.linalg.norm(affine, axis=0)
    return View(name, axis, down, right, flip_down, flip_right, (float(lengths[down]), float(lengths[right])), marks)


def _patient_axes(affine: NDArray[np.float64]) -> tuple[int, ...]:
    """Return the patient axis that each array axis runs along most, each once: of an oblique volume the best assignment of all three."""
    shares = np.abs(affine) / np.linalg.norm(affine, axis=0)
    return max(itertools.permutations(range(3)), key=lambda order: round(float(sum(shares[order[axis], axis] for axis in range(3))), 9))


def _marks(down: NDArray[np.float64], right: NDArray[np.float64]) -> dict[str, Side]:
    def side(vector: NDArray[np.float64]) -> Side:
        return direction_of((float(vector[0]), float(vector[1]), float(vector[2])))

    return {"right": side(right), "left": side(-right), "bottom": side(down), "top": side(-down)}
