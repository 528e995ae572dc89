"""What a loss statement says of its items."""

from __future__ import annotations

import pytest

from data_contracts import AnswerChanges, ChangedCase, Estimate, LossAxis, LossItem, LossStatement


def item(axis, mean, *, key="k", sure=False, rank=1):
    return LossItem(
        axis=axis, key=key, what="a figure", higher_is_better=True, teacher=0.8, student=0.8 - mean, sure=sure, rank=rank, severity=0.0,
        loss=Estimate(mean=mean, low=mean - 0.1, high=mean + 0.1, n=9), simultaneous_low=mean - 0.2, simultaneous_high=mean + 0.2,
    )  # fmt: skip


def statement(**items):
    return LossStatement(
        subject="r/kd", seed=0, weights_digest="a" * 64, teacher_digest="b" * 64, kind="classification", figures=1, rule="by size", **items
    )


def test_the_worst_of_an_axis_is_its_first_loss_then_what_is_equal_then_its_smallest_gain():
    first, second = item(LossAxis.CASES, 0.3, key="first"), item(LossAxis.CASES, 0.2, key="second", rank=2)
    equal = item(LossAxis.CALIBRATION, 0.0)
    large, small = item(LossAxis.CERTAINTY, -0.3, key="large"), item(LossAxis.CERTAINTY, -0.1, key="small", rank=2)
    gained = item(LossAxis.CALIBRATION, -0.2, key="gained", rank=3)
    found = statement(losses=(first, second), unchanged=(equal,), gains=(large, small, gained)).worst()
    assert found == {LossAxis.CASES: first, LossAxis.CALIBRATION: equal, LossAxis.CERTAINTY: small}
    assert statement().worst() == {}


def test_sure_losses_are_the_losses_that_are_sure():
    sure, unsure, gain = item(LossAxis.CASES, 0.3, sure=True), item(LossAxis.CASES, 0.2, rank=2), item(LossAxis.CASES, -0.3, sure=True)
    assert statement(losses=(sure, unsure), gains=(gain,)).sure_losses == (sure,)


def test_at_most_twenty_cases_are_named_and_counts_are_not_negative():
    cases = tuple(ChangedCase(case_key=f"c{row}", patient_key="p", teacher=0.9, student=0.1) for row in range(21))
    counts = {"right_is": "more than 0.5", "both": 1, "neither": 1, "lost": 21, "lost_patients": 1, "gained": 0, "gained_patients": 0}
    assert len(AnswerChanges(**counts, worst_lost=cases[:20]).worst_lost) == 20
    with pytest.raises(ValueError, match="worst_lost"):
        AnswerChanges(**counts, worst_lost=cases)
    with pytest.raises(ValueError, match="both"):
        AnswerChanges(**{**counts, "both": -1})
