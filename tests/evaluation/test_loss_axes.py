"""Every axis on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import Calibration, ConformalBound
from medkd.evaluation.loss_axes import figures_of
from medkd.evaluation.loss_pair import LossPair
from medkd.measures.expected_calibration_error import expected_calibration_error
from tests.evaluation.paired_results import STUDENT, pair_of, units_of

#: Truth 0 1 0 1 …; the teacher errs on case 11, the student on 1, 3 and 10.
TEACHER = (0.05, 0.95, 0.2, 0.8, 0.05, 0.95, 0.2, 0.8, 0.05, 0.95, 0.2, 0.4)
STUDENT_SAYS = (0.05, 0.05, 0.2, 0.4, 0.2, 0.95, 0.2, 0.8, 0.05, 0.95, 0.9, 0.8)


def found(pair, **options):
    figures, missing = figures_of(LossPair(*pair, **options))
    return {one.key: one for one in figures}, {one.what: one.reason for one in missing}


def both(figure):
    return tuple(float(np.abs(values.mean(0)).sum()) for values in (figure.teacher, figure.student))


@pytest.fixture
def counted():
    sizes = [10, 10, 10, 10, 10, 90, 90, 90, 90, 90, 90, 90]
    units = units_of(12, sizes=sizes, device=["a"] * 6 + ["b"] * 6, site=["x"] * 12)
    return pair_of({"test": units}, {"test/probability": TEACHER}, {"test/probability": STUDENT_SAYS})


def test_answers_are_counted_of_all_small_and_grouped_cases(counted):
    figures, missing = found(counted)
    assert both(figures["cases"]) == pytest.approx((11 / 12, 9 / 12))
    assert both(figures["small_lesions"]) == pytest.approx((5 / 5, 3 / 5))
    assert both(figures["subgroup/device=a"]) == pytest.approx((6 / 6, 4 / 6))
    assert both(figures["subgroup/device=b"]) == pytest.approx((5 / 6, 5 / 6))
    assert both(figures["subgroup/class=0"]) == pytest.approx((6 / 6, 5 / 6))
    assert both(figures["subgroup/class=1"]) == pytest.approx((5 / 6, 4 / 6))
    assert figures["small_lesions"].what == "right answers on small lesions (the smallest third, 10 voxels or fewer)"
    assert missing["subgroups of site"] == "all cases have one value"


def test_a_column_of_many_values_is_no_subgroup_and_a_small_one_is_not_named():
    units = units_of(14, age=[str(row) for row in range(14)], device=["a"] * 10 + [""] * 4)
    figures, missing = found(pair_of({"test": units}, {"test/probability": [0.4] * 14}, {"test/probability": [0.4] * 14}))
    assert missing["subgroups of age"] == "14 values, more than 12"
    assert missing["right answers where device is not stated"] == "4 patients are fewer than 5"
    assert "subgroup/device=a" in figures


def test_certain_answers_are_counted(counted):
    figures, _ = found(counted)
    assert both(figures["certainty/right"]) == pytest.approx((6 / 12, 4 / 12))
    assert both(figures["certainty/wrong"]) == pytest.approx((0, 2 / 12))
    assert not figures["certainty/wrong"].higher_is_better


def test_the_calibration_error_is_the_measure(counted):
    figures, _ = found(counted)
    labels = torch.tensor([row % 2 for row in range(12)])
    expected = [float(expected_calibration_error(torch.tensor(own, dtype=torch.double), labels)) for own in (TEACHER, STUDENT_SAYS)]
    assert both(figures["calibration"]) == pytest.approx(expected)


def test_a_temperature_is_applied_to_the_students_probabilities(counted):
    bound = ConformalBound(alpha=0.1, unit="positive", patients=0, units=0, reason="few")
    half = Calibration(
        weights_digest=STUDENT, cohort_digest="c" * 64, subset="student_validation", method="temperature", temperature=2.0,
        scales=(0.5, 0.5), biases=(0.0, 0.0), patients=20, cases=20, samples=20, bound=bound,
    )  # fmt: skip
    figures, _ = found(counted, calibrations=(half,))
    odds = np.sqrt(np.array(STUDENT_SAYS) / (1 - np.array(STUDENT_SAYS)))
    labels = torch.tensor([row % 2 for row in range(12)])
    expected = float(expected_calibration_error(torch.from_numpy(odds / (1 + odds)), labels))
    assert both(figures["calibration"])[1] == pytest.approx(expected)
    assert both(figures["cases"]) == pytest.approx((11 / 12, 9 / 12))


def test_shifted_tests_reasons_and_markers_are_read_where_they_lie():
    units = {"test": units_of(10), "debiased": units_of(10), "marker_pairs": units_of(12, patients=[f"p{row // 2}" for row in range(12)])}
    teacher = {
        "test/probability": [0.1, 0.9] * 5,
        "debiased/probability": [0.1, 0.9] * 5,
        "debiased/agreement": [1.0] * 9 + [None],
        "debiased/relevance_mass_accuracy": [0.5] * 8 + [None, 0.5],
        "marker_pairs/marker_effect": [0.0] * 6,
    }
    student = {
        "test/probability": [0.1, 0.9] * 5,
        "debiased/probability": [0.1, 0.1] * 5,
        "debiased/agreement": [0.9, 0.5, 0.4, None] + [0.9] * 5 + [None],
        "debiased/relevance_mass_accuracy": [0.25] * 7 + [None, None, 0.25],
        "marker_pairs/marker_effect": [0.5] * 6,
    }
    figures, missing = found(pair_of(units, teacher, student))
    assert both(figures["shifted_data/debiased"]) == pytest.approx((1, 0.5))
    assert both(figures["shifted_data/marker"]) == pytest.approx((0, 0.5))
    assert figures["shifted_data/marker"].n == 6
    # The student's map of zeros agrees with nothing; the case where the teacher has none either is left out and counted.
    assert both(figures["agreement_of_reasons/maps"]) == pytest.approx((1, 7 / 9))
    assert figures["agreement_of_reasons/maps"].missing == 1
    assert both(figures["agreement_of_reasons/lesion"]) == pytest.approx((0.5, 0.25 * 8 / 9))
    assert missing == {"small lesions": "all lesions are of one size", "subgroups": "the cases have no subgroup columns"}


def test_a_segmentation_is_judged_by_its_dice_and_says_what_it_lacks():
    units = units_of(6, sizes=[5, 6, 50, 60, 70, 80], device=["a"] * 5 + ["b"])
    teacher = {"test/dice": [0.0, 0.8, 0.8, 0.8, 0.8, None], "uncued/dice_uncued": [0.9] * 6}
    student = {"test/dice": [None, 0.6, 0.6, 0.4, 0.8, None], "uncued/dice_uncued": [0.6] * 6}
    figures, missing = found(pair_of({"test": units, "uncued": units}, teacher, student))
    # Nothing to find and nothing found is right; where neither says anything the case is left out.
    assert both(figures["cases"]) == pytest.approx((3.2 / 5, 3.4 / 5))
    assert figures["cases"].missing == 1
    assert both(figures["shifted_data/uncued"]) == pytest.approx((0.9, 0.6))
    answers = LossPair(*pair_of({"test": units}, {"test/dice": teacher["test/dice"]}, {"test/dice": student["test/dice"]})).answers("test")
    assert [own.tolist() for own in answers.right] == [[False, True, True, True, True], [True, True, True, False, True]]
    assert missing["expected calibration error"] == missing["certain answers"] == "per-case results of a segmentation hold no probabilities"
    assert missing["class maps that agree with the teacher's (cosine of 0.5 or more)"] == "class maps were not compared"
    assert missing["Dice on small lesions (the smallest third, 6 voxels or fewer)"] == "2 patients are fewer than 5"


def test_other_cases_and_more_classes_are_not_compared():
    teacher, student = pair_of({"test": units_of(6)}, {"test/probability": [0.5] * 6}, {"test/probability": [0.5] * 6})
    figures, missing = found((teacher, student.model_copy(update={"cohorts": {"test": "f" * 64}})))
    assert not figures
    assert missing["answers"] == "teacher and student were tested on other cases of 'test'"
    several = pair_of({"test": units_of(6, labels=[0, 1, 2] * 2)}, {"test/probability": [0.5] * 6}, {"test/probability": [0.5] * 6})
    figures, missing = found(several)
    assert not figures
    assert "more than two classes" in missing["answers"]
