"""The geometry solver: an affine that reproduces the position of every slice, or a refusal with evidence.

Slices are ordered by the projection of their position (0020,0032) on the normal of their orientation (0020,0037). Instance
numbers, slice thickness and spacing between slices are never used: they are annotations, not geometry.
Source: DICOM PS3.3 C.7.6.2.1.1 (image plane), equation C.7.6.2.1-1.

What a policy may repair is repaired in the open: the solution says which output slices are synthetic (between measured ones), and the
residual in mm is always that of the measured slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import Geometry, IngestCode, IngestError
from medkd.dicom.findings import Findings

#: Orientation vectors must be orthonormal to this; a repair reaches as far as the second.
ORTHONORMAL, REPAIRABLE_SKEW = 1e-3, 0.05
#: A slice may be this far from the regular grid: one percent of the step, and never less than 0.05 mm.
SHARE_OF_STEP, FLOOR_MM = 0.01, 0.05
#: Positions closer than this are the same position.
SAME_MM = 0.01
FEWEST_SLICES = 3
#: A repair that would invent more than this share of the slices is refused.
MOST_SYNTHETIC = 0.5

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SlicePlanes:
    """The planes of n slices as their headers state them.

    Attributes:
        positions_mm: [n, 3] position of the first voxel's centre, LPS mm.
        orientation: [6] direction of growing column index, then of growing row index.
        pixel_spacing_mm: (between rows, between columns).
        matrix: (rows, columns).
        stated_step_mm: SpacingBetweenSlices (0018,0088) where given; compared, never used.
    """

    positions_mm: Array
    orientation: Array
    pixel_spacing_mm: tuple[float, float]
    matrix: tuple[int, int]
    stated_step_mm: float | None = None


@dataclass(frozen=True)
class Solution:
    """A verified geometry and where the given slices lie in it.

    Attributes:
        geometry: with the largest distance in mm of a measured slice from where the affine puts it.
        order: indices of the given slices, sorted along the normal.
        places: output slice at which each of them lies; not an integer where a repair resamples between slices.
        tilt_degrees: shear angle of a tilted gantry, 0 otherwise.
    """

    geometry: Geometry
    order: tuple[int, ...]
    places: tuple[float, ...]
    tilt_degrees: float = 0.0

    def measured(self) -> dict[int, int]:
        """Return output slice → index of the given slice that lies on it; all other output slices are synthetic."""
        pairs = zip(self.places, self.order, strict=True)
        last = self.geometry.shape[0]
        return {round(place): index for place, index in pairs if abs(place - round(place)) <= SHARE_OF_STEP and round(place) < last}


def solve_geometry(planes: SlicePlanes, findings: Findings) -> Solution:
    """Return the affine (slice, row, column) → LPS mm that every slice agrees with.

    Every position may occur once (see :func:`medkd.dicom.group.split_repeated`).

    Raises:
        IngestError: ``ORIENTATION_NOT_ORTHONORMAL``, ``TOO_FEW_SLICES``, ``DUPLICATE_POSITION``, ``MISSING_SLICES``,
            ``VARIABLE_SPACING``, ``GANTRY_TILT``, ``MIXED_SPACING``, ``SPACING_TAG_DISAGREES``, each with what was measured and
            unless the policy settles it otherwise.
    """
    along_columns, along_rows, normal = _axes(planes, findings)
    if min(planes.pixel_spacing_mm) <= 0 or not np.isfinite(planes.positions_mm).all():
        evidence = {"pixel_spacing_mm": list(planes.pixel_spacing_mm)}
        raise IngestError(IngestCode.MISSING_POSITION, "expected finite positions and a positive pixel spacing", evidence)
    projections = planes.positions_mm @ normal
    order = np.argsort(projections, kind="stable")
    _require_distinct(projections[order])
    if len(order) < FEWEST_SLICES:
        message = f"expected at least {FEWEST_SLICES} slices to verify a spacing, got {len(order)}"
        raise IngestError(IngestCode.TOO_FEW_SLICES, message, {"slices": len(order)})
    positions = planes.positions_mm[order]
    tilt = _tilt(positions, normal, findings)
    step, multiples = _steps(projections[order], findings)
    places = np.concatenate([[0], np.cumsum(multiples)])
    fit = np.polynomial.polynomial.polyfit(places, positions, 1)
    origin, slice_step = fit[0], fit[1]
    _compare_stated(planes.stated_step_mm, step, findings)
    geometry = Geometry(
        shape=(int(np.floor(places[-1] + SHARE_OF_STEP)) + 1, *planes.matrix),
        affine_lps_mm=_affine(slice_step, along_rows * planes.pixel_spacing_mm[0], along_columns * planes.pixel_spacing_mm[1], origin),
        spacing_mm=(float(np.linalg.norm(slice_step)), *planes.pixel_spacing_mm),
        residual_mm=float(np.linalg.norm(origin + places[:, None] * slice_step - positions, axis=1).max()),
    )
    return Solution(geometry, tuple(int(index) for index in order), tuple(float(place) for place in places), tilt)


def _affine(*columns: Array) -> Any:
    affine = np.eye(4)
    affine[:3] = np.stack(columns, axis=1)
    return tuple(tuple(float(value) for value in row) for row in affine)


def _axes(planes: SlicePlanes, findings: Findings) -> tuple[Array, Array, Array]:
    along_columns, along_rows = planes.orientation[:3], planes.orientation[3:]
    lengths = float(np.linalg.norm(along_columns)), float(np.linalg.norm(along_rows))
    deviation = float(np.abs([lengths[0] - 1, lengths[1] - 1, float(along_columns @ along_rows)]).max())
    if not deviation <= ORTHONORMAL:  # NaN is not small either
        findings.resolve(
            IngestCode.ORIENTATION_NOT_ORTHONORMAL,
            f"expected orthonormal orientation vectors to {ORTHONORMAL}, they are {deviation:.4f} off",
            {"lengths": list(lengths), "deviation": deviation},
            repairable=deviation <= REPAIRABLE_SKEW,
        )
        # The nearest orthonormal pair: the polar factor of the 3 x 2 matrix (Higham 1986).
        left, _, right = np.linalg.svd(np.stack([along_columns, along_rows], axis=1), full_matrices=False)
        along_columns, along_rows = (left @ right).T
    normal = np.cross(along_columns, along_rows)
    return along_columns, along_rows, normal / np.linalg.norm(normal)


def _require_distinct(projections: Array) -> None:
    if len(projections) > 1 and float(np.diff(projections).min()) <= SAME_MM:
        where = float(projections[int(np.diff(projections).argmin())])
        raise IngestError(
            IngestCode.DUPLICATE_POSITION,
            f"expected one slice per position, two lie at {where:.2f} mm along the normal",
            {"projection_mm": where},
        )


def _tilt(positions: Array, normal: Array, findings: Findings) -> float:
    """Return the shear angle in degrees of slices that move sideways in proportion to their place along the normal, 0 where upright."""
    drift = positions - positions[0]
    along = drift @ normal
    sideways = drift - np.outer(along, normal)
    largest = float(np.linalg.norm(sideways, axis=1).max())
    tolerance = max(SHARE_OF_STEP * float(np.median(np.diff(along))), FLOOR_MM)
    if largest <= tolerance:
        return 0.0
    per_mm = along @ sideways / (along @ along)
    degrees = float(np.degrees(np.arctan(np.linalg.norm(per_mm))))
    evidence = {"largest_shift_mm": largest, "tilt_degrees": degrees}
    if float(np.linalg.norm(sideways - np.outer(along, per_mm), axis=1).max()) > tolerance:
        raise IngestError(
            IngestCode.VARIABLE_SPACING,
            f"expected slices stacked along their normal, they shift sideways by up to {largest:.2f} mm",
            evidence,
        )
    message = f"expected slices stacked along their normal, they shear by {degrees:.2f} degrees ({largest:.2f} mm in all)"
    findings.resolve(IngestCode.GANTRY_TILT, message, evidence)
    return degrees


def _steps(projections: Array, findings: Findings) -> tuple[float, Array]:
    """Return the step in mm and, between neighbouring slices, how many steps lie: 1 everywhere unless a repair fills or resamples."""
    steps = np.diff(projections)
    step = float(np.median(steps))
    if _on_grid(steps, step) and (np.round(steps / step) == 1).all():
        return step, np.ones(len(steps))
    finest = _finest(steps)
    multiples = np.round(steps / finest)
    if _on_grid(steps, finest) and not _is_change(multiples):
        gap, lost = int(multiples.argmax()), int((multiples - 1).sum())
        evidence = {"step_mm": finest, "missing": lost, "gap_mm": [float(projections[gap]), float(projections[gap + 1])]}
        findings.resolve(
            IngestCode.MISSING_SLICES,
            f"expected a slice every {finest:.3f} mm, {lost} missing, the first gap from {projections[gap]:.2f} to {projections[gap + 1]:.2f} mm",
            evidence,
            repairable=lost / (lost + len(projections)) <= MOST_SYNTHETIC,
        )
        return finest, multiples
    return _resampled(steps, step, finest, findings)


def _finest(steps: Array) -> float:
    """Return the step of which all others may be multiples: the mean of those near the smallest (rounded headers scatter)."""
    smallest = float(steps.min())
    return float(steps[steps <= smallest * (1 + SHARE_OF_STEP) + FLOOR_MM].mean())


def _on_grid(steps: Array, step: float) -> bool:
    """Return whether slices lie on a regular grid with gaps: each step a multiple, and no drift from the line through all."""
    multiples = np.maximum(np.round(steps / step), 1)
    tolerance = max(SHARE_OF_STEP * step, FLOOR_MM)
    if (np.abs(steps - multiples * step) > 2 * tolerance).any():
        return False
    places, along = np.concatenate([[0], np.cumsum(multiples)]), np.concatenate([[0], np.cumsum(steps)])
    fit = np.polynomial.polynomial.polyfit(places, along, 1)
    return bool(np.abs(fit[0] + fit[1] * places - along).max() <= tolerance)


def _is_change(multiples: Array) -> bool:
    """Return whether wide steps are a change of protocol rather than slices that were lost: many of them, or a run up to an end."""
    wide = multiples > 1
    return bool(wide.mean() > 1 / 3 or wide[:2].all() or wide[-2:].all())


def _resampled(steps: Array, step: float, finest: float, findings: Findings) -> tuple[float, Array]:
    """Settle a stack whose step changes: onto the finest step where all are multiples of it, else onto the median step."""
    fits = _on_grid(steps, finest)
    target, multiples = (finest, np.round(steps / finest)) if fits else (step, steps / step)
    total = float(multiples.sum())
    measured = len(steps) + 1 if fits else _near_integers(np.concatenate([[0], np.cumsum(multiples)]))
    synthetic = 1 - measured / (np.floor(total + 1e-6) + 1)
    evidence = {
        "median_step_mm": step,
        "smallest_mm": float(steps.min()),
        "largest_mm": float(steps.max()),
        "resampled_to_mm": target,
        "synthetic_share": round(float(synthetic), 4),
    }
    findings.resolve(
        IngestCode.VARIABLE_SPACING,
        f"expected steps of {step:.3f} mm, they range from {steps.min():.3f} to {steps.max():.3f} mm",
        evidence,
        repairable=bool(synthetic <= MOST_SYNTHETIC),
    )
    return target, multiples


def _near_integers(places: Array) -> int:
    return int((np.abs(places - np.round(places)) <= SHARE_OF_STEP).sum())


def _compare_stated(stated: float | None, step: float, findings: Findings) -> None:
    if stated is not None and abs(abs(stated) - step) > max(SHARE_OF_STEP * step, FLOOR_MM):
        message = f"expected SpacingBetweenSlices of {step:.3f} mm as the positions say, the header says {stated:.3f} mm"
        findings.resolve(IngestCode.SPACING_TAG_DISAGREES, message, {"stated_mm": stated, "measured_mm": step})
