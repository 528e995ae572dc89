"""The geometry solver: an affine that reproduces the position of every slice, or a refusal with evidence.

Slices are ordered by the projection of their position (0020,0032) on the normal of their orientation (0020,0037). Instance
numbers, slice thickness and spacing between slices are never used: they are annotations, not geometry.
Source: DICOM PS3.3 C.7.6.2.1.1 (image plane), equation C.7.6.2.1-1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_contracts import Geometry, IngestCode, IngestError

#: Orientation vectors must be orthonormal to this.
ORTHONORMAL = 1e-3
#: A slice may be this far from the regular grid: one percent of the step, and never less than 0.05 mm.
SHARE_OF_STEP, FLOOR_MM = 0.01, 0.05
#: Positions closer than this are the same position.
SAME_MM = 0.01
FEWEST_SLICES = 3

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SlicePlanes:
    """The planes of n slices as their headers state them.

    Attributes:
        positions_mm: [n, 3] position of the first voxel's centre, LPS mm.
        orientation: [6] direction of growing column index, then of growing row index.
        pixel_spacing_mm: (between rows, between columns).
        matrix: (rows, columns).
    """

    positions_mm: Array
    orientation: Array
    pixel_spacing_mm: tuple[float, float]
    matrix: tuple[int, int]


@dataclass(frozen=True)
class Solution:
    """A proved geometry and the order (indices into the given slices) in which slices are stacked."""

    geometry: Geometry
    order: tuple[int, ...]


def solve_geometry(planes: SlicePlanes) -> Solution:
    """Return the affine (slice, row, column) → LPS mm that every slice agrees with.

    Raises:
        IngestError: ``ORIENTATION_NOT_ORTHONORMAL``, ``TOO_FEW_SLICES``, ``TEMPORAL_STACK``, ``DUPLICATE_POSITION``,
            ``MISSING_SLICES``, ``VARIABLE_SPACING``, ``GANTRY_TILT``, ``MIXED_SPACING``; each with what was measured.
    """
    along_columns, along_rows, normal = _axes(planes)
    if min(planes.pixel_spacing_mm) <= 0:
        raise IngestError(
            IngestCode.MIXED_SPACING, "expected a positive pixel spacing", {"pixel_spacing_mm": list(planes.pixel_spacing_mm)}
        )
    projections = planes.positions_mm @ normal
    order = np.argsort(projections, kind="stable")
    _require_distinct(projections[order])
    if len(order) < FEWEST_SLICES:
        raise IngestError(
            IngestCode.TOO_FEW_SLICES,
            f"expected at least {FEWEST_SLICES} slices to prove a spacing, got {len(order)}",
            {"slices": len(order)},
        )
    step = _regular_step(projections[order])
    positions = planes.positions_mm[order]
    _require_upright(positions, normal, step)
    slice_step = (positions[-1] - positions[0]) / (len(positions) - 1)
    affine = np.eye(4)
    affine[:3, 0] = slice_step
    affine[:3, 1] = along_rows * planes.pixel_spacing_mm[0]
    affine[:3, 2] = along_columns * planes.pixel_spacing_mm[1]
    affine[:3, 3] = positions[0]
    predicted = positions[0] + np.arange(len(positions))[:, None] * slice_step
    residual = float(np.linalg.norm(predicted - positions, axis=1).max())
    geometry = Geometry(
        shape=(len(positions), *planes.matrix),
        affine_lps_mm=tuple(tuple(float(value) for value in row) for row in affine),
        spacing_mm=(float(np.linalg.norm(slice_step)), *planes.pixel_spacing_mm),
        residual_mm=residual,
    )
    return Solution(geometry, tuple(int(index) for index in order))


def _axes(planes: SlicePlanes) -> tuple[Array, Array, Array]:
    along_columns, along_rows = planes.orientation[:3], planes.orientation[3:]
    lengths = float(np.linalg.norm(along_columns)), float(np.linalg.norm(along_rows))
    skew = abs(float(along_columns @ along_rows))
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), skew) > ORTHONORMAL or not np.isfinite(planes.orientation).all():
        evidence = {"lengths": list(lengths), "dot": skew}
        raise IngestError(IngestCode.ORIENTATION_NOT_ORTHONORMAL, f"expected orthonormal orientation vectors to {ORTHONORMAL}", evidence)
    return along_columns, along_rows, np.cross(along_columns, along_rows)


def _require_distinct(projections: Array) -> None:
    """Refuse positions that occur more than once: several time points or echoes, or plain duplicates."""
    starts = np.concatenate([[True], np.diff(projections) > SAME_MM])
    counts = np.bincount(np.cumsum(starts) - 1)
    if counts.max() == 1:
        return
    evidence = {"positions": len(counts), "slices": len(projections), "most_at_one_position": int(counts.max())}
    if len(counts) >= FEWEST_SLICES and (counts == counts[0]).all():
        raise IngestError(
            IngestCode.TEMPORAL_STACK, f"expected one slice per position, each of {len(counts)} positions holds {counts[0]}", evidence
        )
    where = float(projections[np.flatnonzero(starts)[int(counts.argmax())]])
    raise IngestError(
        IngestCode.DUPLICATE_POSITION,
        f"expected one slice per position, {counts.max()} lie at {where:.2f} mm along the normal",
        evidence | {"projection_mm": where},
    )


def _regular_step(projections: Array) -> float:
    """Return the step between neighbouring slices, refusing gaps and irregular steps."""
    steps = np.diff(projections)
    step = float(np.median(steps))
    tolerance = max(SHARE_OF_STEP * step, FLOOR_MM)
    multiples = np.round(steps / step)
    off_grid = np.abs(steps - multiples * step)
    if (off_grid <= tolerance * np.maximum(multiples, 1)).all() and multiples.max() > 1:
        gap = int(multiples.argmax())
        lost = int((multiples - 1).sum())
        evidence = {"step_mm": step, "missing": lost, "gap_mm": [float(projections[gap]), float(projections[gap + 1])]}
        raise IngestError(
            IngestCode.MISSING_SLICES,
            f"expected a slice every {step:.3f} mm, {lost} missing, the first gap from {projections[gap]:.2f} to {projections[gap + 1]:.2f} mm",
            evidence,
        )
    worst = float(np.abs(steps - step).max())
    if worst > tolerance:
        evidence = {"median_step_mm": step, "smallest_mm": float(steps.min()), "largest_mm": float(steps.max())}
        raise IngestError(
            IngestCode.VARIABLE_SPACING,
            f"expected steps of {step:.3f} mm within {tolerance:.3f} mm, they range from {steps.min():.3f} to {steps.max():.3f} mm",
            evidence,
        )
    return step


def _require_upright(positions: Array, normal: Array, step: float) -> None:
    """Refuse stacks whose slices move sideways: linearly (a tilted gantry) or by jumps."""
    drift = positions - positions[0]
    sideways = drift - np.outer(drift @ normal, normal)
    largest = float(np.linalg.norm(sideways, axis=1).max())
    tolerance = max(SHARE_OF_STEP * step, FLOOR_MM)
    if largest <= tolerance:
        return
    per_slice = sideways[-1] / (len(positions) - 1)
    linear = np.abs(sideways - np.arange(len(positions))[:, None] * per_slice).max() <= 2 * tolerance
    degrees = float(np.degrees(np.arctan2(np.linalg.norm(per_slice), step)))
    evidence = {"largest_shift_mm": largest, "tilt_degrees": degrees}
    if linear:
        raise IngestError(
            IngestCode.GANTRY_TILT,
            f"expected slices stacked along their normal, they shear by {degrees:.2f} degrees ({largest:.2f} mm in all)",
            evidence,
        )
    raise IngestError(
        IngestCode.VARIABLE_SPACING, f"expected slices stacked along their normal, they shift sideways by up to {largest:.2f} mm", evidence
    )
