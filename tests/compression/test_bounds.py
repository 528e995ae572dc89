"""What refuses a form, by which side of its interval, and who is on the front."""

from __future__ import annotations

import pytest

from data_contracts import CompressionBounds, Estimate, FormFigures
from medkd.compression.bounds import refusals_of, with_front

BOUNDS = CompressionBounds()


def estimate(mean, spread=0.0):
    return Estimate(mean=mean, low=mean - spread, high=mean + spread, n=20)


def form(name="int8", **changes):
    good = {
        "runtime": "openvino", "parameters": 10, "bytes": 100, "task": estimate(0.8), "task_difference": estimate(0.0),
        "calibration_difference": estimate(0.0), "map_rank_correlation": estimate(1.0), "map_sign_stability": estimate(1.0),
        "map_lesion_share": estimate(0.0), "seconds_per_case": 0.1, "speed": estimate(2.0), "speed_same_runtime": estimate(1.5),
    }  # fmt: skip
    return FormFigures(name=name, **{**good, **changes})


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"task_difference": estimate(0.0, 0.011)}, "FORM_WORSE", "+0.000 [-0.011, +0.011]"),
        ({"task_difference": None}, "FORM_WORSE", "not defined"),
        ({"calibration_difference": estimate(0.021)}, "FORM_UNCALIBRATED", "+0.021"),
        ({"map_rank_correlation": estimate(0.94)}, "FORM_BLINDER", "rank correlation"),
        ({"map_sign_stability": estimate(0.89)}, "FORM_BLINDER", "keep their sign"),
        ({"map_lesion_share": estimate(-0.02, 0.031)}, "FORM_BLINDER", "in the lesion"),
        ({"speed": estimate(0.99, 0.5)}, "FORM_SLOWER", "asked by torch"),
        ({"speed_same_runtime": estimate(0.54, 0.1)}, "FORM_SLOWER", "0.54 times as fast as the version asked by openvino"),
    ],
)
def test_each_bound_refuses_by_its_own_code(changes, code, said):
    (refusal,) = refusals_of(form(**changes), BOUNDS)
    assert refusal.code == code
    assert said in refusal.why


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"task_difference": estimate(0.0, 0.01)},
        {"calibration_difference": estimate(0.02, 0.5)},
        {"map_rank_correlation": estimate(0.95, 0.5)},
        {"map_lesion_share": estimate(0.0, 0.05)},
        {"map_rank_correlation": None, "map_sign_stability": None, "map_lesion_share": None},
        {"speed": estimate(1.0), "speed_same_runtime": estimate(1.0)},
        {"speed": None, "speed_same_runtime": None},
    ],
)
def test_on_the_bound_and_what_was_not_asked_for_pass(changes):
    assert refusals_of(form(**changes), BOUNDS) == ()


def test_the_version_by_another_runtime_is_not_compared_with_itself():
    assert refusals_of(form("openvino", speed_same_runtime=estimate(0.5)), BOUNDS) == ()


def test_all_that_is_wrong_is_said():
    wrong = form(task_difference=estimate(-0.5), map_rank_correlation=estimate(0.0), map_sign_stability=estimate(0.5), speed=estimate(0.1))
    assert [one.code for one in refusals_of(wrong, BOUNDS)] == ["FORM_WORSE", "FORM_BLINDER", "FORM_BLINDER", "FORM_SLOWER"]


def test_the_front_is_what_no_other_within_the_bounds_beats_in_all_four():
    refused = form("refused", bytes=1, seconds_per_case=0.001).model_copy(
        update={"refusals": refusals_of(form(speed=estimate(0.1)), BOUNDS)}
    )
    forms = [
        form("small", bytes=50),
        form("fast", seconds_per_case=0.05),
        form("sharp", task=estimate(0.9)),
        form("beaten", bytes=120),
        refused,
    ]
    forms += [form("blurred", bytes=40, map_rank_correlation=estimate(0.96)), form("unmapped", bytes=30, map_rank_correlation=None)]
    front = {one.name for one in with_front(forms) if one.on_front}
    assert front == {"fast", "sharp", "unmapped"}


def test_equal_forms_are_both_on_the_front():
    assert [one.on_front for one in with_front([form("a"), form("b")])] == [True, True]
