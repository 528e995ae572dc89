"""Evidence, agreement, faithfulness, dependence on the weights: what maps must show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data_contracts import AgreementPolicy, CheckOutcome, EvidencePolicy, Role
from medkd.promotion.check_maps import check_agreement, check_evidence, check_faithfulness, check_randomisation
from tests.promotion.versions import ROWS, bundle, by_name, policy, setting_of


def test_a_case_without_a_value_counts_as_the_worst_where_the_champion_has_one(registry, make):
    values = [0.9] * ROWS
    old, new = make(mark="old", evidence=values), make(mark="new", evidence=[None] * 10 + values[10:])
    (check,) = check_evidence(setting_of(registry, new, old))
    assert check.figure.mean == pytest.approx(-0.9 * 10 / ROWS)
    assert check.outcome is CheckOutcome.FAILS


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
    assert "medkd explain-model RECIPE --model models:/r-kd/1 makes them" in check.reason
