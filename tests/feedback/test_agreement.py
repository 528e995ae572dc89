"""Agreement of readers, with wrong maps, and with themselves, on logs made for it."""

from __future__ import annotations

import pytest

from data_contracts import ControlCase, FindingVerdict, OwnReadAnswer
from medkd.feedback.agreement import agreement_of_readers, answer_of_model, changes_by_round, reliance_by_round
from medkd.feedback.keep import Reviewer, keep_form


@pytest.fixture
def reports(report):
    """Return reports of ten studies, which differ in their keys."""

    def of(number):
        volume = report.volume.model_copy(update={"study_key": f"study-{number}"})
        return report.model_copy(update={"explanations": tuple(one.model_copy(update={"volume": volume}) for one in report.explanations)})

    return [of(number) for number in range(10)]


@pytest.fixture
def judge(log, make_form):
    """Return what keeps a reader's judgement of a report: answer before, verdict on the lesion and on its map."""
    count = iter(range(1, 1000))

    def keep(report, reader, before="present", prediction="agree", explanation="accepted", round_=1, **changes):
        others = [
            FindingVerdict(finding="answer-1", prediction="unsure", explanation="not_judged"),
            FindingVerdict(finding="teacher-1", prediction="disagree", explanation="not_judged"),
        ]
        lesion = FindingVerdict(finding="lesion-1", prediction=prediction, explanation=explanation)
        changes = {"decision": "accept", **changes}
        form = make_form(next(count), verdicts=(lesion, *others), report=report.digest(), study_key=report.volume.study_key,
                         own_read=OwnReadAnswer(answer=before, seconds=3.0), **changes)  # fmt: skip
        return keep_form(log, report, form, Reviewer(reader, "radiologist", round_), offline=True)

    return keep


def shown_wrong(log, report, reader, round_=1):
    genuine = report.digest()
    wrong = report.model_copy(update={"caveats": ()})
    assert wrong.digest() != genuine
    log.append(
        ControlCase(
            report=wrong.digest(), genuine=genuine, study_key=report.volume.study_key, kind="mirrored", reviewer_key=reader, round=round_
        )
    )
    return wrong


def test_two_readers_are_compared_over_what_both_answered(log, reports, judge):
    for place, report in enumerate(reports):
        judge(report, "r1", explanation="accepted" if place < 6 else "rejected")
        if place < 8:
            judge(report, "r2", explanation="accepted" if place % 2 == 0 else "rejected")
    found = {one.question: one for one in agreement_of_readers(log.entries())}
    # Of eight: both accept 0, 2, 4; r1 alone 1, 3, 5; r2 alone 6; neither 7.
    assert found["explanation"].items == 8
    assert found["explanation"].observed == pytest.approx(0.5)
    chance = 6 / 8 * 4 / 8 + 2 / 8 * 4 / 8
    assert found["explanation"].kappa == pytest.approx((0.5 - chance) / (1 - chance))
    assert found["own_read"].observed == 1
    assert found["own_read"].kappa is None
    assert found["prediction"].items == 24


def test_three_readers_are_compared_by_pairs_and_together(log, reports, judge):
    for report in reports[:4]:
        for reader in ("r1", "r2", "r3"):
            judge(report, reader, before="absent" if report is reports[0] else "present")
    found = [one for one in agreement_of_readers(log.entries()) if one.question == "own_read"]
    assert [one.readers for one in found] == [("r1", "r2"), ("r1", "r3"), ("r2", "r3"), ("r1", "r2", "r3")]
    assert all(one.kappa == pytest.approx(1) for one in found)


def test_rounds_are_compared_apart(log, reports, judge):
    for round_ in (1, 2):
        judge(reports[0], "r1", round_=round_)
        judge(reports[0], "r2", round_=round_, explanation="rejected")
    found = [one for one in agreement_of_readers(log.entries()) if one.question == "explanation"]
    assert [(one.round, one.items) for one in found] == [(1, 1), (2, 1)]


def test_what_was_superseded_does_not_count(log, reports, judge):
    first = judge(reports[0], "r1", explanation="rejected")
    judge(reports[0], "r1", explanation="accepted", supersedes=first.digest())
    (found,) = reliance_by_round(log.entries())
    assert (found.genuine.mean, found.genuine.n) == (1.0, 1)


def test_reliance_is_how_readily_wrong_maps_are_accepted(log, reports, judge):
    for place, report in enumerate(reports):
        shown = shown_wrong(log, report, "r1") if place < 4 else report
        judge(shown, "r1", explanation="accepted" if place != 0 else "rejected")
    judge(reports[0], "r2")  # of whom it is a study like any other
    (found,) = reliance_by_round(log.entries())
    assert (found.wrong.mean, found.wrong.n) == (0.75, 4)
    assert (found.genuine.mean, found.genuine.n) == (1.0, 7)
    assert found.difference.mean == pytest.approx(-0.25)
    assert found.difference.low < -0.25 < found.difference.high


def test_readers_are_not_compared_on_maps_of_which_one_was_wrong(log, reports, judge):
    judge(shown_wrong(log, reports[0], "r1"), "r1", explanation="rejected")
    judge(reports[0], "r2")
    found = {one.question: one for one in agreement_of_readers(log.entries())}
    assert "explanation" not in found or found["explanation"].items == 0
    assert found["own_read"].items == 1
    assert found["prediction"].items == 3


def test_what_became_of_own_reads(log, reports, judge):
    judge(reports[0], "r1", before="absent", prediction="agree")
    judge(reports[1], "r1", before="absent", prediction="disagree")
    judge(reports[2], "r1", before="present", prediction="agree")
    judge(reports[3], "r1", before="present", prediction="unsure")
    judge(reports[4], "r1")
    known = {report.digest(): report for report in reports[:4]}
    (found,) = changes_by_round(log.entries(), known)
    assert answer_of_model(reports[0]) == "present"
    assert found.counts == {("absent", "present"): 1, ("absent", "absent"): 1, ("present", "present"): 1, ("present", "unsure"): 1}
    assert (found.changed.mean, found.changed.n) == (0.5, 4)
    assert (found.to_model.mean, found.to_model.n) == (0.5, 2)
    assert found.undefined == 1


def test_anatomy_is_asked_something_else(report):
    anatomy = tuple(one.model_copy(update={"structures": "anatomy"}) for one in report.explanations)
    assert answer_of_model(report.model_copy(update={"explanations": anatomy})) is None


def test_a_classifier_alone_is_asked_its_classes(log, report, make_form, reader):
    from data_contracts import TaskKind

    one = report.explanations[1].model_copy(update={"kind": TaskKind.CLASSIFICATION})
    alone = report.model_copy(update={"explanations": (one,)})
    verdict = FindingVerdict(finding="answer-1", prediction="agree", explanation="not_judged")
    before = OwnReadAnswer(answer="benign", seconds=1.0)
    keep_form(log, alone, make_form(report=alone.digest(), verdicts=(verdict,), own_read=before), reader, offline=True)
    (found,) = changes_by_round(log.entries(), {alone.digest(): alone})
    assert found.counts == {("benign", "malignant"): 1}


def test_an_empty_log_has_no_figures(log):
    assert (agreement_of_readers(log.entries()), reliance_by_round(log.entries()), changes_by_round(log.entries(), {})) == ((), (), ())
