from __future__ import annotations

import pytest

from data_contracts import ArmVariant, AttributionSource, Condition, ExperimentPlan


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("kd", ("kd", None, None, "")),
        ("kd_explanation", ("kd_explanation", None, None, "")),
        ("kd__shuffled", ("kd", "shuffled", None, "")),
        ("kd_gap", ("kd", None, "gap", "")),
        ("kd__another_patient_longer@few", ("kd", "another_patient", "longer", "few")),
        ("teacher@plateau", ("teacher", None, None, "plateau")),
    ],
)
def test_a_name_is_read_as_the_variant_that_is_written_so(name, parts):
    variant = ArmVariant.parse(name)
    assert (variant.arm, variant.control, variant.continuation, variant.setting) == parts
    assert str(variant) == name


def test_a_control_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="nobody"):
        ArmVariant.parse("kd__nobody")


def test_the_same_variant_stands_in_other_settings():
    variant = ArmVariant(arm="kd", control=AttributionSource.SHUFFLED)
    assert str(variant.at("few")) == "kd__shuffled@few"
    assert variant.at("few").at("") == variant


def test_every_searched_arm_is_tried_as_often():
    with pytest.raises(ValueError, match="the same number of configurations"):
        ExperimentPlan(primary="auc", search={"a": ({},), "b": ({}, {})}, search_seeds=(9,))


def test_a_search_has_seeds_of_its_own():
    with pytest.raises(ValueError, match=r"expected search_seeds for the search of \['a'\]"):
        ExperimentPlan(primary="auc", search={"a": ({},)})


def test_what_a_look_at_a_student_depends_on_is_neither_search_nor_arms():
    plan = ExperimentPlan(primary="auc", select="task")
    assert plan.goal == plan.model_copy(update={"controlled": ("kd",)}).goal
    assert (plan.goal.primary, plan.goal.select) == ("auc", "task")


def test_a_condition_changes_something():
    with pytest.raises(ValueError, match="overrides"):
        Condition(overrides={}, arms=("kd",))
