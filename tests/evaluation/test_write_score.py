from __future__ import annotations

import csv
import io
from types import SimpleNamespace

import numpy as np
import pytest

from data_contracts import Case, Ref
from medkd.evaluation.score_folder import FolderScore, Scores
from medkd.evaluation.write_score import _case_table, _patient_table, reliability, render_calibration, render_froc, wilson
from medkd.measures.froc import Detections

IMAGE = Ref(store="s", key="k", sha256="0" * 64)
EVALUATION = SimpleNamespace(metrics={}, model=SimpleNamespace(name="net", version=2), n=2)


@pytest.fixture
def score():
    """Return three cases of two patients with a probability, a Dice that one case lacks, and an attribute that one case has."""
    patients, attributes = ("p0", "p0", "p1"), ({"sex": "F"}, {}, {})
    cases = tuple(Case(case_key=f"key-{n}", patient_key=patients[n], image=IMAGE, label=n % 2, attributes=attributes[n]) for n in range(3))
    scores = Scores(
        rows={"dice": np.array([0.5, np.nan, np.nan])},
        shown={"probability": np.array([0.25, 0.75, 1 / 3])},
        labels=np.array([0, 1, 0]),
    )
    return FolderScore(EVALUATION, cases, scores)


def rows_of(payload):
    return list(csv.reader(io.StringIO(payload.decode())))


def test_a_row_of_a_case_has_its_own_name_and_what_is_undefined_is_empty(score):
    header, first, second, third = rows_of(_case_table(score, {"key-0": "Name 0", "key-1": "Name 1"}))
    assert header == ["case", "patient_key", "sex", "label", "probability", "dice"]
    assert first == ["Name 0", "p0", "F", "0", "0.25", "0.5"]
    assert second == ["Name 1", "p0", "", "1", "0.75", ""]
    assert third == ["key-2", "p1", "", "0", "0.333333", ""]


def test_a_row_of_a_patient_has_the_mean_over_its_defined_cases(score):
    assert rows_of(_patient_table(score))[1:] == [["p0", "2", "0.5", "0.5"], ["p1", "1", "0.333333", ""]]


def test_a_calibration_of_one_class_and_of_several_is_a_picture(score):
    assert render_calibration(score).startswith(b"\x89PNG")
    shown = {f"probability_{name}": np.array([0.2, 0.3, 0.5]) for name in ("a", "b", "c")}
    several = FolderScore(EVALUATION, score.cases, Scores(shown=shown, labels=np.array([0, 1, 2])))
    assert render_calibration(several).startswith(b"\x89PNG")
    assert render_calibration(several) != render_calibration(score)


def test_a_froc_curve_is_the_same_picture_for_the_same_detections(score):
    found = [Detections(lesions=np.array([0.9]), false_positives=np.array([0.2]))]
    picture = render_froc(FolderScore(EVALUATION, score.cases, Scores(detections={"froc": found})))
    assert picture.startswith(b"\x89PNG")
    assert picture == render_froc(FolderScore(EVALUATION, score.cases, Scores(detections={"froc": found})))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_an_interval_of_a_share_holds_it_and_is_narrower_with_more_cases(share):
    few, many = wilson(share, 10), wilson(share, 1000)
    assert few[0] <= many[0] <= share + 1e-9
    assert share - 1e-9 <= many[1] <= few[1] + 1e-9


def test_a_reliability_curve_counts_every_case_once():
    probability = np.array([0.0, 0.01, 0.5, 0.99, 1.0])
    mean, share, count = reliability(probability, np.array([0.0, 1.0, 1.0, 1.0, 0.0]))
    assert count.tolist() == [2, 1, 2]
    assert mean == pytest.approx([0.005, 0.5, 0.995])
    assert share == pytest.approx([0.5, 1.0, 0.5])
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # Wilson 1927, as tabulated
