"""An earlier study beside the current one: lesions are matched by where their masks lie in the patient, on any two grids."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import DataError, ReviewReport, read_record
from medkd.review.compare_prior import compare_prior
from medkd.review.shown import StudyArrays
from tests.explanation.pictures import bright_picture


def test_a_lesion_in_the_same_place_is_matched_with_its_change(report, followed):
    (change,) = followed.prior.changes
    lesion = report.explanations[0].lesions[0]
    assert (change.number, change.prior_number) == (1, 1)
    # By hand, in voxels of the current grid: 4 × 10 × 12 now, 3 × 10 × 12 then, of which 3 × 10 × 12 are common but for half a voxel at the edges.
    assert change.dice == pytest.approx(2 * 360 / (480 + 360), abs=0.08)
    assert change.change_ml == pytest.approx(lesion.volume_ml - 1.25)
    assert change.change_mm == pytest.approx(lesion.diameter_mm - 11.0)
    assert followed.prior.same_model


def test_a_lesion_elsewhere_is_not_matched(report, arrays, prior):
    kept = {name: np.roll(mask, 10, 2) for name, mask in prior.arrays.explained[0].items()}
    found = compare_prior(report, arrays, prior.report, StudyArrays(prior.arrays.volume, (kept,)))
    assert [(one.number, one.prior_number, one.dice) for one in found.changes] == [(1, None, None), (None, 1, None)]
    assert [one.change_ml for one in found.changes] == [None, None]


def test_each_lesion_is_matched_once_with_what_it_overlaps_most(report, arrays, prior, change):
    lesion = report.explanations[0].lesions[0]
    second = lesion.model_copy(update={"tracking_id": "lesion-2"})
    kept = dict(arrays.explained[0])
    kept["mask/2"] = np.roll(kept["mask/1"], 3, 2)
    two = change(report, lesions=(lesion, second))
    found = compare_prior(two, StudyArrays(arrays.volume, (kept,)), prior.report, prior.arrays)
    assert [(one.number, one.prior_number) for one in found.changes] == [(1, 1), (2, None)]


def test_a_lesion_that_overlaps_two_takes_the_one_it_overlaps_most(report, arrays, prior):
    one = prior.report.explanations[0]
    second = one.lesions[0].model_copy(update={"tracking_id": "lesion-2"})
    kept = dict(prior.arrays.explained[0])
    kept["mask/2"], kept["mask/1"] = kept["mask/1"], np.roll(kept["mask/1"], 2, 2)
    two = prior.report.model_copy(update={"explanations": (one.model_copy(update={"lesions": (one.lesions[0], second)}),)})
    found = compare_prior(report, arrays, two, StudyArrays(prior.arrays.volume, (kept,)))
    assert [(one.number, one.prior_number) for one in found.changes] == [(1, 2), (None, 1)]


def test_a_study_beside_itself_turned_and_flipped_is_the_same(report, arrays, prior):
    """Voxels in another order, at the same places in the patient."""
    space = report.volume.geometry
    affine = np.asarray(space.affine_lps_mm)
    end = affine @ (0, 0, space.shape[2] - 1, 1)
    flipped = affine.copy()
    flipped[:3, 2], flipped[:3, 3] = -affine[:3, 2], end[:3]
    geometry = space.model_copy(update={"affine_lps_mm": tuple(map(tuple, flipped.tolist()))})
    one = report.explanations[0]
    volume = one.volume.model_copy(update={"geometry": geometry, "series_key": "s0"})
    other = report.model_copy(update={"explanations": (one.model_copy(update={"volume": volume}),)})
    kept = {name: values[:, :, ::-1] for name, values in arrays.explained[0].items()}
    (found,) = compare_prior(report, arrays, other, StudyArrays(arrays.volume[:, :, ::-1], (kept,))).changes
    assert found.dice == 1.0
    assert found.change_ml == 0.0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"patient_key": "p9"}, "PRIOR_OTHER_PATIENT"),
        ({"series_key": "now"}, "PRIOR_SAME_SERIES"),
        ({"geometry": None}, "PRIOR_WITHOUT_SPACE"),
    ],
)
def test_what_cannot_be_compared_is_refused(report, arrays, prior, changes, code):
    if "series_key" in changes:
        changes = {"series_key": report.volume.series_key}
    if "geometry" in changes:
        changes = {"geometry": bright_picture()[1].geometry}
    one = prior.report.explanations[0]
    other = prior.report.model_copy(update={"explanations": (one.model_copy(update={"volume": one.volume.model_copy(update=changes)}),)})
    with pytest.raises(DataError) as caught:
        compare_prior(report, arrays, other, prior.arrays)
    assert caught.value.code == code


def test_a_report_without_a_prior_keeps_its_bytes(report, followed):
    assert b"prior" not in report.canonical_json()
    assert read_record(followed.canonical_json(), ReviewReport) == followed
