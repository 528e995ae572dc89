"""Every check against a case whose outcome follows from figures that were chosen by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from data_contracts import AgreementPolicy, CheckOutcome, CostPolicy, EvidencePolicy, PromotionPolicy, Role, TaskPolicy
from medkd.promotion.check_calibration import check_calibration
from medkd.promotion.check_controls import check_controls
from medkd.promotion.check_cost import check_cost
from medkd.promotion.check_maps import check_agreement, check_evidence, check_faithfulness, check_randomisation
from medkd.promotion.check_provenance import check_integrity, check_leakage, check_lineage
from medkd.promotion.check_task import check_subgroups, check_task, subgroups_of
from medkd.promotion.measure_cost import AnswerCost
from medkd.promotion.paired import AUC, PairedCases, paired_figure
from medkd.promotion.version_records import read_version
from tests.promotion.versions import bundle, setting_of, spread, units

ROWS = 40


def by_name(checks):
    return {check.name: check for check in checks}


def policy(**changes):
    return PromotionPolicy(name="test", **changes)


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


def test_a_case_without_a_value_counts_as_the_worst_where_the_champion_has_one(registry, make):
    values = [0.9] * ROWS
    old, new = make(mark="old", evidence=values), make(mark="new", evidence=[None] * 10 + values[10:])
    (check,) = check_evidence(setting_of(registry, new, old))
    assert check.figure.mean == pytest.approx(-0.9 * 10 / ROWS)
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


def test_an_auc_is_made_of_probabilities_and_labels():
    """Pairs (positive, negative): of .9 .4 against .5 .1 three of four are in order; the other version has all four."""
    cases = PairedCases(np.array([0.9, 0.4, 0.5, 0.1]), np.array([0.9, 0.8, 0.5, 0.1]), np.array([1, 1, 0, 0]), ("a", "b", "c", "d"))
    found = paired_figure(AUC, cases)
    assert (found.own.mean, found.other, found.difference.mean) == (0.75, 1.0, -0.25)
    assert paired_figure(AUC, cases.select([0, 1])) is None


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


def test_less_evidence_on_the_lesion_fails(registry, make):
    old, new = make(mark="old", evidence=0.6), make(mark="new", evidence=0.5)
    (check,) = check_evidence(setting_of(registry, new, old))
    assert (check.outcome, check.threshold) == (CheckOutcome.FAILS, -0.05)
    (check,) = check_evidence(setting_of(registry, new, old, policy(evidence=EvidencePolicy(margin=0.11))))
    assert check.outcome is CheckOutcome.HOLDS


def test_agreement_is_asked_of_students_and_compared_under_the_same_teacher(registry, make):
    teacher = make(name="r-teacher", role=Role.TEACHER)
    other = make(name="r-teacher", role=Role.TEACHER, mark="other")
    old = make(mark="old", teacher=teacher, values={"test/agreement": [0.9] * ROWS})
    new = make(mark="new", teacher=teacher, values={"test/agreement": [0.7] * ROWS})
    elsewhere = make(mark="elsewhere", teacher=other, values={"test/agreement": [0.9] * ROWS})
    assert by_name(check_agreement(setting_of(registry, new, old)))["agreement"].outcome is CheckOutcome.FAILS
    assert [one.name for one in check_agreement(setting_of(registry, new, elsewhere))] == ["agreement, floor"]
    (check,) = check_agreement(setting_of(registry, new, policy=policy(agreement=AgreementPolicy(floor=0.75))))
    assert check.outcome is CheckOutcome.FAILS
    (check,) = check_agreement(setting_of(registry, teacher))
    assert check.outcome is CheckOutcome.NOT_APPLICABLE


@pytest.mark.parametrize(("faithful", "outcome"), [(0.2, CheckOutcome.HOLDS), (0.46, CheckOutcome.FAILS), (0.7, CheckOutcome.FAILS)])
def test_maps_must_beat_the_best_baseline_by_their_interval(registry, make, faithful, outcome):
    """Less deletion is better: .46 with an upper bound of .51 is not surely below .5."""
    setting = setting_of(registry, make())
    subject = replace(setting.subject, bundle=bundle(setting.subject.model.weights_digest, faithful=faithful))
    (check,) = check_faithfulness(replace(setting, subject=subject))
    assert (check.outcome, check.name, check.reference) == (outcome, "deletion", 0.5)
    assert check.figure.mean == pytest.approx(0.5 - faithful)


def test_an_explainer_that_failed_its_tests_shows_nothing(registry, make):
    setting = setting_of(registry, make(similarity=0.9))
    (check,) = check_faithfulness(setting)
    assert (check.outcome, check.refuses) == (CheckOutcome.NOT_MEASURED, False)
    (check,) = check_randomisation(setting)
    assert (check.outcome, check.value) == (CheckOutcome.FAILS, 0)
    assert "cam 0.90 (at most 0.5)" in check.reason
    (check,) = check_randomisation(setting_of(registry, make(mark="good")))
    assert check.outcome is CheckOutcome.HOLDS


def test_a_version_that_was_not_explained_is_refused_for_it(registry, make):
    (check,) = check_randomisation(setting_of(registry, make(explained=False)))
    assert (check.outcome, check.refuses) == (CheckOutcome.NOT_MEASURED, True)


@pytest.mark.parametrize(("ece", "outcome"), [(0.05, CheckOutcome.HOLDS), (0.15, CheckOutcome.FAILS)])
def test_the_calibration_error_is_the_held_out_one(registry, make, ece, outcome):
    (check,) = check_calibration(setting_of(registry, make(ece=ece)))
    assert (check.outcome, check.value, check.reference) == (outcome, ece, 0.3)


def test_without_a_calibration_it_was_not_measured_and_the_policy_accepts_that(registry, make):
    (check,) = check_calibration(setting_of(registry, make()))
    assert (check.outcome, check.refuses) == (CheckOutcome.NOT_MEASURED, False)
    assert check.reason == "not measured: the version has no calibration; the policy accepts that"


def test_a_control_that_does_as_well_refuses_the_gain(registry, make):
    new, same, worse = make(dice=0.8), make(name="r-kd__random_teacher", dice=0.8), make(name="r-kd__shuffled", dice=0.7)
    setting = setting_of(registry, new)
    controls = {one.name: read_version(registry, one.uri) for one in (same, worse)}
    checks = by_name(check_controls(replace(setting, controls=controls)))
    assert checks["r-kd__random_teacher"].outcome is CheckOutcome.FAILS
    assert checks["r-kd__shuffled"].outcome is CheckOutcome.HOLDS
    (check,) = check_controls(setting)
    assert check.outcome is CheckOutcome.NOT_APPLICABLE


def test_time_memory_and_size_each_have_their_bound(registry, make, tmp_path):
    setting = setting_of(registry, make(), policy=policy(cost=CostPolicy(max_latency_ms=10, max_peak_mib=100, max_size_mib=1)))
    with_form = replace(setting, subject=replace(setting.subject, network=tmp_path / "model.onnx"))
    checks = by_name(check_cost(with_form, lambda _path, _task: AnswerCost(9.9, 100.1, 0.5)))
    assert [checks[name].holds for name in ("latency", "peak memory", "size")] == [True, False, True]
    (check,) = check_cost(setting)
    assert (check.outcome, check.refuses) == (CheckOutcome.NOT_MEASURED, False)
    (check,) = check_cost(with_form)
    assert "COST" not in check.reason
    assert "does not" in check.reason


def test_a_patient_that_was_trained_on_is_named(registry, make):
    (check,) = check_leakage(setting_of(registry, make(trained_on=("trained0", "tested3"))))
    assert (check.outcome, check.value) == (CheckOutcome.FAILS, 1)
    assert check.reason == "1 of 20 tested patients are among the 2 that were trained on: tested3"
    (check,) = check_leakage(setting_of(registry, make(mark="clean")))
    assert check.outcome is CheckOutcome.HOLDS
    (check,) = check_leakage(setting_of(registry, make(mark="mute", results=False)))
    assert (check.outcome, check.refuses) == (CheckOutcome.NOT_MEASURED, True)


def test_explanations_of_other_weights_are_no_evidence(registry, make, tmp_path):
    from medkd.registry.publish import pack_archive

    model, foreign = make(), bundle("f" * 64)
    archive = tmp_path / f"{model.name}-{model.version}.zip"
    pack_archive(archive, {"index.json": foreign.canonical_json()})
    registry.attach(model, {"explanations": archive}, {"medkd.explanations": foreign.digest()})
    (check,) = check_integrity(setting_of(registry, model))
    assert check.outcome is CheckOutcome.FAILS
    assert "the explanations is of the weights ffffffffffff" in check.reason
    registry.attach(model, {}, {"medkd.explanations": "0" * 64})
    (check,) = check_integrity(setting_of(registry, model))
    assert "the version's tag names 000000000000" in check.reason
    assert setting_of(registry, model).subject.bundle is None


def test_the_teacher_must_be_there_unaltered_and_the_one_of_the_weights(registry, make):
    teacher = make(name="r-teacher", role=Role.TEACHER)
    student = make(teacher=teacher)
    (check,) = check_lineage(setting_of(registry, student), registry)
    assert check.outcome is CheckOutcome.HOLDS
    (check,) = check_lineage(setting_of(registry, teacher), registry)
    assert check.outcome is CheckOutcome.NOT_APPLICABLE
    (check,) = check_lineage(setting_of(registry, make(mark="lost", teacher=teacher.model_copy(update={"version": 7}))), registry)
    assert (check.outcome, "VERSION" in check.reason) == (CheckOutcome.FAILS, False)
    other = make(mark="digest", teacher=teacher.model_copy(update={"manifest_digest": "0" * 64}))
    (check,) = check_lineage(setting_of(registry, other), registry)
    assert "000000000000 when it was learned from" in check.reason
    weights = make(mark="weights", teacher=teacher.model_copy(update={"weights_digest": "0" * 64}))
    (check,) = check_lineage(setting_of(registry, weights), registry)
    assert "it learned from 000000000000" in check.reason
    (teacher_folder,) = {folder for _, folder in registry._versions["r-teacher"]}
    (teacher_folder / "weights.safetensors").write_bytes(b"other")
    (check,) = check_lineage(setting_of(registry, student), registry)
    assert "weights.safetensors" in check.reason


def test_values_are_spread_round_the_number():
    assert np.mean(spread(0.8, ROWS)) == pytest.approx(0.8)
