"""Not worse at the task, overall and in subgroups: cases whose outcome follows from figures that were chosen by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from data_contracts import CheckOutcome, Role, TaskPolicy
from medkd.promotion.check_task import check_subgroups, check_task, subgroups_of
from tests.promotion.versions import ROWS, by_name, policy, setting_of, units


def test_a_constant_difference_has_no_width_and_stands_at_the_margin(registry, make):
    old, new = make(mark="old", dice=0.8), make(mark="new", dice=0.78)
    allowed, narrower = (TaskPolicy(margin=margin, floor=None) for margin in (0.0200001, 0.0199))
    for rule, outcome in ((allowed, CheckOutcome.HOLDS), (narrower, CheckOutcome.FAILS)):
        (check,) = check_task(setting_of(registry, new, old, policy(task=rule)))
        assert check.outcome is outcome
        assert check.figure.mean == pytest.approx(-0.02)
        assert check.figure.high - check.figure.low == pytest.approx(0)
        assert (check.value, check.reference) == (pytest.approx(0.78), pytest.approx(0.8))
        assert "0.780" in check.reason
        assert "0.800" in check.reason


def test_patients_are_resampled_and_the_bound_counts_not_the_mean(registry, make):
    """Half of the patients gain .1, half lose .1: the mean is 0 and the bound is not."""
    gain = [0.1 if row // 2 % 2 else -0.1 for row in range(ROWS)]
    old, new = make(mark="old", dice=[0.7] * ROWS), make(mark="new", dice=[0.7 + one for one in gain])
    check = by_name(check_task(setting_of(registry, new, old)))["dice"]
    assert check.figure.mean == pytest.approx(0)
    # The standard error of a mean of 20 patients at ±.1 is .1 / sqrt(20).
    assert check.figure.low == pytest.approx(-1.96 * 0.1 / np.sqrt(20), abs=0.01)
    assert check.figure.n == 20
    assert check.outcome is CheckOutcome.FAILS


def test_a_case_without_a_value_of_the_champion_is_left_out_and_counted(registry, make):
    old, new = make(mark="old", dice=[None] * 4 + [0.8] * 36), make(mark="new", dice=[0.1] * 4 + [0.8] * 36)
    check = by_name(check_task(setting_of(registry, new, old)))["dice"]
    assert (check.figure.mean, check.figure.missing) == (pytest.approx(0), 4)


def test_versions_on_other_cases_are_not_compared(registry, make):
    old, new = make(mark="old", cohort="a" * 64), make(mark="new")
    check = by_name(check_task(setting_of(registry, new, old)))["dice"]
    assert (check.outcome, check.refuses, check.holds) == (CheckOutcome.NOT_MEASURED, True, None)
    assert "not comparable" in check.reason
    assert "aaaaaaaaaaaa" in check.reason


def test_without_anything_to_compare_with_the_floor_decides(registry, make):
    for value, outcome in ((0.8, CheckOutcome.HOLDS), (0.4, CheckOutcome.FAILS)):
        (check,) = check_task(setting_of(registry, make(mark=str(value), dice=value)))
        assert (check.name, check.outcome, check.threshold) == ("dice, floor", outcome, 0.5)
    (check,) = check_task(setting_of(registry, make(mark="x"), policy=policy(task=TaskPolicy(floor=None))))
    assert (check.outcome, check.refuses) == (CheckOutcome.NOT_MEASURED, True)


def test_a_champion_that_cannot_be_read_is_not_replaced_by_the_floor(registry, make):
    setting = replace(setting_of(registry, make()), role="champion", absent="the champion cannot be read: altered")
    checks = by_name(check_task(setting))
    assert checks["dice"].refuses
    assert "cannot be read" in checks["dice"].reason


def test_against_a_teacher_the_wider_margin_counts(registry, make):
    teacher, new = make(name="r-teacher", role=Role.TEACHER, dice=0.85), make(dice=0.8)
    for role, outcome in (("teacher", CheckOutcome.HOLDS), ("champion", CheckOutcome.FAILS)):
        assert by_name(check_task(setting_of(registry, new, teacher, role=role)))["dice"].outcome is outcome


def test_subgroups_are_values_labels_and_thirds(registry, make):
    """Ten patients of device A lose .3: overall the loss is .15, in A .3, in B nothing."""
    both = units(device=["A"] * 20 + ["B"] * 20)
    old = make(mark="old", units=both, dice=[0.8] * ROWS)
    new = make(mark="new", units=both, dice=[0.5] * 20 + [0.8] * 20)
    checks = by_name(check_subgroups(setting_of(registry, new, old)))
    assert checks["device=A"].outcome is CheckOutcome.FAILS
    assert checks["device=A"].figure.mean == pytest.approx(-0.3)
    assert checks["device=B"].outcome is CheckOutcome.HOLDS
    assert "lesion size=small (7)" in checks["small subgroups"].reason
    assert checks["small subgroups"].outcome is CheckOutcome.NOT_APPLICABLE


def test_thirds_of_the_sizes_hold_a_third_each():
    groups = subgroups_of(units(), ROWS)
    assert [len(groups[f"lesion size={name}"]) for name in ("small", "middle", "large")] == [14, 13, 13]
    assert groups["lesion size=small"].tolist() == list(range(14))
    assert all(a < b for a, b in pairwise(groups["lesion size=large"].tolist()))


def test_a_subgroup_of_one_class_is_compared_by_the_probability_of_that_class(registry, make):
    """Positives fall from .9 to .6, negatives stay at .2 of being positive."""
    labels = [1] * 20 + [0] * 20
    cases, rule = units(labels=labels), policy(task=TaskPolicy(figures=("auc",)))
    old = make(mark="old", units=cases, values={"test/probability": [0.9] * 20 + [0.2] * 20})
    new = make(mark="new", units=cases, values={"test/probability": [0.6] * 20 + [0.2] * 20})
    checks = by_name(check_subgroups(setting_of(registry, new, old, rule)))
    assert checks["label=1"].figure.mean == pytest.approx(-0.3)
    assert checks["label=1"].outcome is CheckOutcome.FAILS
    assert checks["label=0"].value == pytest.approx(0.8)
    assert by_name(check_task(setting_of(registry, new, old, rule)))["auc"].outcome is CheckOutcome.HOLDS
