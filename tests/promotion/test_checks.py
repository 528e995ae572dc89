"""How a check is said."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import CheckOutcome, Estimate, NotMeasuredPolicy
from medkd.promotion.checks import not_applicable, outcome_of, shown
from tests.promotion.versions import ROWS, policy, setting_of, spread


@pytest.mark.parametrize(("done", "refuses"), [("refuse", True), ("accept", False)])
def test_the_policy_says_whether_what_was_not_measured_refuses(registry, make, done, refuses):
    setting = setting_of(registry, make(), policy=policy(not_measured=NotMeasuredPolicy(cost=done)))
    check = setting.not_measured("cost", "latency", "no form")
    assert (check.outcome, check.holds, check.refuses) == (CheckOutcome.NOT_MEASURED, None, refuses)
    assert check.reason.startswith("not measured: no form; the policy ")


def test_a_teacher_is_compared_with_under_its_own_margin(registry, make):
    old, new = make(mark="old"), make(mark="new")
    assert [setting_of(registry, new, old, role=role).margin(0.02, 0.1) for role in ("champion", "teacher")] == [0.02, 0.1]


def test_what_does_not_apply_neither_holds_nor_refuses():
    check = not_applicable("controls", "controls", "none is registered")
    assert (check.holds, check.refuses, check.reason) == (None, False, "not applicable: none is registered")


def test_a_figure_is_shown_with_its_interval_and_a_difference_with_its_sign():
    figure = Estimate(mean=0.0721, low=-0.05, high=0.0914, n=9)
    assert (shown(figure), shown(figure, signed=True)) == ("0.072 [-0.050, 0.091]", "+0.072 [-0.050, +0.091]")
    assert (outcome_of(True), outcome_of(False)) == (CheckOutcome.HOLDS, CheckOutcome.FAILS)


def test_values_are_spread_round_the_number():
    assert np.mean(spread(0.8, ROWS)) == pytest.approx(0.8)
