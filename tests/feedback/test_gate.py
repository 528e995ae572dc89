"""A student that feedback taught passes only where it predicts no worse, looks where it should and less where it should not."""

from __future__ import annotations

import pytest

from data_contracts import AttentionValues, Comparison, Estimate
from medkd.feedback.attention import Attention
from medkd.feedback.gate import LEAST_STUDIES, Compared, judge


def attention(inside, outside, studies=8):
    cases = tuple(f"c{n}" for n in range(studies))
    found = AttentionValues(
        weights_digest="a" * 64, seed=0, explainer="cam", case_keys=cases, patient_keys=cases, parts=("eval",) * studies,
        inside=(inside,) * studies, outside=(outside,) * studies,
    )  # fmt: skip
    return Attention([found], ("eval",))


def compared(*, low=-0.005, figure="auc_debiased", inside=0.1, outside=-0.1, studies=8):
    figures = {} if figure is None else {figure: Estimate(mean=low + 0.01, low=low, high=low + 0.02, n=50)}
    comparison = Comparison(arm="kd", baseline="kd", figures=figures)
    return Compared(comparison, attention(0.5 + inside, 0.5 + outside, studies), attention(0.5, 0.5, studies))


def test_a_student_that_is_no_worse_and_looks_where_it_should_passes():
    verdict = judge("r/kd", {"before": compared(), "control": compared(low=0.02)})
    assert verdict.passed
    assert len(verdict.findings) == 7
    assert verdict.subject == "r/kd"


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"low": -0.0101}, "auc_debiased less before's, lower bound"),
        ({"inside": 0.0}, "share inside less before's, above"),
        ({"inside": -0.1}, "share inside less before's, above"),
        ({"outside": 0.0}, "share on forbidden voxels less before's, below"),
        ({"outside": 0.1}, "share on forbidden voxels less before's, below"),
        ({"studies": LEAST_STUDIES - 1}, "studies that judge"),
        ({"figure": None}, "the figure less before's, lower bound"),
    ],
)
def test_one_thing_that_does_not_hold_refuses_it_and_is_named(changes, failing):
    verdict = judge("r/kd", {"before": compared(**changes), "control": compared()})
    assert not verdict.passed
    assert [one.requirement for one in verdict.findings if not one.holds] == [failing]


def test_no_better_than_the_same_budget_without_feedback_is_refused():
    verdict = judge("r/kd", {"before": compared(), "control": compared(outside=0.0)})
    assert [one.requirement for one in verdict.findings if not one.holds] == ["share on forbidden voxels less control's, below"]


def test_at_the_margin_it_holds():
    assert judge("r/kd", {"before": compared(low=-0.01, figure="dice")}).passed
