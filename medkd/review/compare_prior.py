"""A study beside an earlier one: which lesions are the same by the overlap of their masks in the patient, and how they changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import DataError, Geometry, Lesion, LesionChange, LesionFinding, PriorComparison, ReviewReport
from medkd.review.shown import StudyArrays

#: Masks of less overlap (Dice) are of two lesions.
LEAST_DICE = 0.1
Voxels = Mapping[int, NDArray[np.intp]]


def compare_prior(report: ReviewReport, arrays: StudyArrays, prior: ReviewReport, prior_arrays: StudyArrays) -> PriorComparison:
    """Return how the explained lesions of a study differ from those of an earlier one; a function of the two reports and their masks alone.

    No registration is made: a prior voxel lies where its header says. Lesions are matched by the overlap of their masks, the largest overlap first,
    each once; what overlaps with nothing by a Dice of a tenth or more is not matched.

    Args:
        report: of the study.
        arrays: of that report, with a mask of every explained lesion.
        prior: of the earlier study.
        prior_arrays: of that report.

    Raises:
        DataError: ``PRIOR_OTHER_PATIENT``, ``PRIOR_SAME_SERIES``, ``PRIOR_WITHOUT_SPACE`` for pictures, which lie nowhere in the patient.
    """
    _require_comparable(report, prior)
    return PriorComparison(
        report=prior.digest(),
        study_key=prior.volume.study_key,
        series_key=prior.volume.series_key,
        same_frame=report.volume.frame_of_reference_key is not None
        and report.volume.frame_of_reference_key == prior.volume.frame_of_reference_key,
        same_model=[one.model.manifest_digest for one in report.explanations] == [one.model.manifest_digest for one in prior.explanations],
        changes=tuple(_changes(report, arrays, prior, prior_arrays)),
    )


def _require_comparable(report: ReviewReport, prior: ReviewReport) -> None:
    now, before = report.volume, prior.volume
    if now.patient_key != before.patient_key:
        raise DataError(
            "PRIOR_OTHER_PATIENT", f"expected an earlier study of patient {now.patient_key}, got one of {before.patient_key}; name another"
        )
    if now.series_key == before.series_key:
        raise DataError("PRIOR_SAME_SERIES", f"expected an earlier study, got the same series {now.series_key}; name another")
    if now.space is None or before.space is None:
        raise DataError(
            "PRIOR_WITHOUT_SPACE", "expected two volumes, got a picture, which lies nowhere in the patient; leave the prior out"
        )


def _changes(report: ReviewReport, arrays: StudyArrays, prior: ReviewReport, prior_arrays: StudyArrays) -> Iterator[LesionChange]:
    for place, (own, before) in enumerate(zip(report.explanations, prior.explanations, strict=False)):
        now = {one.number: one for one in own.lesions if f"mask/{one.number}" in arrays.explained[place]}
        earlier = {one.number: one for one in before.lesions if f"mask/{one.number}" in prior_arrays.explained[place]}
        pairs = _matched(now, earlier, (report.volume.space, arrays.explained[place]), (prior.volume.space, prior_arrays.explained[place]))
        for number, (other, dice) in pairs.items():
            yield _change(place, now[number], earlier[other], dice)
        taken = {other for other, _ in pairs.values()}
        yield from (_change(place, one, None, None) for number, one in now.items() if number not in pairs)
        yield from (_change(place, None, one, None) for number, one in earlier.items() if number not in taken)


def _change(place: int, now: LesionFinding | None, before: LesionFinding | None, dice: float | None) -> LesionChange:
    def of(one: Lesion | None, name: str) -> Any:
        return None if one is None else getattr(one, name)

    return LesionChange(
        explanation=place,
        number=of(now, "number"),
        prior_number=of(before, "number"),
        dice=dice,
        volume_ml=of(now, "volume_ml"),
        prior_volume_ml=of(before, "volume_ml"),
        diameter_mm=of(now, "diameter_mm"),
        prior_diameter_mm=of(before, "diameter_mm"),
    )


def _matched(
    now: Mapping[int, LesionFinding],
    earlier: Mapping[int, LesionFinding],
    own: tuple[Geometry | None, Mapping[str, NDArray[Any]]],
    other: tuple[Geometry | None, Mapping[str, NDArray[Any]]],
) -> dict[int, tuple[int, float]]:
    """Return of each matched lesion its number in the prior study and the overlap, the largest overlap first."""
    (space, masks), (prior_space, prior_masks) = own, other
    if space is None or prior_space is None:
        return {}
    found = sorted(
        (
            (-_dice(masks[f"mask/{number}"], space, prior_masks[f"mask/{before}"], prior_space), number, before)
            for number, one in now.items()
            for before, its in earlier.items()
            if one.class_name == its.class_name
        )
    )
    pairs: dict[int, tuple[int, float]] = {}
    for negative, number, before in found:
        if -negative >= LEAST_DICE and number not in pairs and before not in {taken for taken, _ in pairs.values()}:
            pairs[number] = (before, round(-negative, 4))
    return pairs


def _dice(mask: NDArray[Any], space: Geometry, prior: NDArray[Any], prior_space: Geometry) -> float:
    """Return the overlap of two masks of two grids, in volume: the marked voxels of each are looked up in the other."""
    held = _held(mask, space, prior, prior_space), _held(prior, prior_space, mask, space)
    # The common volume seen from either grid; of unlike grids the two differ by what a voxel's edge takes.
    common = (held[0][0] * abs(space.determinant_mm3()) + held[1][0] * abs(prior_space.determinant_mm3())) / 2
    both = held[0][1] * abs(space.determinant_mm3()) + held[1][1] * abs(prior_space.determinant_mm3())
    return min(1.0, 2 * common / both) if both else 0.0


def _held(mask: NDArray[Any], space: Geometry, other: NDArray[Any], other_space: Geometry) -> tuple[int, int]:
    """Return how many marked voxels of a mask have their centre in a marked voxel of another, and how many there are."""
    voxels = np.argwhere(mask)
    own, its = np.asarray(space.affine_lps_mm), np.asarray(other_space.affine_lps_mm)
    positions = voxels @ own[:3, :3].T + own[:3, 3]
    found = np.rint(np.linalg.solve(its[:3, :3], (positions - its[:3, 3]).T).T).astype(int)
    inside = ((found >= 0) & (found < other.shape)).all(1)
    slices, rows, columns = found[inside].T
    return int(np.count_nonzero(other[slices, rows, columns])), len(voxels)
