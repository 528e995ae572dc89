from __future__ import annotations

from medkd.loss_check.value_laws import any_order, finite, least_at_teacher, reads_teacher
from tests.loss_check.faults import GOOD, LEAKS, REGULARISES

FROM_LOGITS = "def loss(student, teacher, images, labels):\n    gap = student(images) - teacher(images).detach()\n    return {}\n"


def test_a_good_loss_keeps_all(case_of):
    case = case_of(GOOD)
    assert [law(case).verdict for law in (finite, any_order, least_at_teacher)] == ["holds"] * 3


def test_a_root_is_not_finite_where_the_head_is_zero(case_of):
    found = finite(case_of("def loss(student, teacher, images, labels):\n    return student(images).square().sum().sqrt()\n"))
    assert (found.verdict, "a student whose head is zero: the gradient is NaN" in found.sentence) == ("broken", True)


def test_cases_that_are_matched_by_place_are_seen(case_of):
    assert any_order(case_of(LEAKS)).verdict == "broken"


def test_a_term_that_leads_away_from_its_teacher_is_broken_where_it_claims_not_to(case_of):
    away = FROM_LOGITS.format("-gap.square().mean()")
    assert least_at_teacher(case_of(away)).verdict == "not applicable"
    assert least_at_teacher(case_of(away + "MINIMUM_AT_TEACHER = True\n")).verdict == "broken"
    assert least_at_teacher(case_of(FROM_LOGITS.format("gap.square().mean()") + "MINIMUM_AT_TEACHER = True\n")).verdict == "holds"


def test_who_reads_a_teacher_is_seen_by_the_value(case_of):
    assert reads_teacher(case_of(GOOD))
    assert not reads_teacher(case_of(REGULARISES))
    assert "under another teacher" in least_at_teacher(case_of(REGULARISES)).sentence
