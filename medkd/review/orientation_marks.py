"""Which side of a picture is which side of the patient: read from the affine, nowhere else."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from data_contracts import Geometry


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


def direction_of(vector_lps: tuple[float, float, float]) -> Side:
    """Return the patient direction that a world vector points to most."""
    axis = int(np.argmax(np.abs(vector_lps)))
    return _POSITIVE[axis] if vector_lps[axis] > 0 else _NEGATIVE[axis]


def picture_marks(geometry: Geometry) -> dict[str, Side]:
    """Return what lies at the left, right, top and bottom edge of a slice drawn with rows downwards and columns rightwards."""
    affine = np.asarray(geometry.affine_lps_mm)
    row, column = tuple(affine[:3, 1]), tuple(affine[:3, 2])
    return {
        "right": direction_of(column),
        "left": direction_of(tuple(-value for value in column)),
        "bottom": direction_of(row),
        "top": direction_of(tuple(-value for value in row)),
    }
