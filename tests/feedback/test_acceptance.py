"""Whether a report counts as verified: by a judgement that stands and agrees with each finding of its models."""

from __future__ import annotations

import pytest

from data_contracts import FeedbackError, FindingVerdict
from medkd.feedback.acceptance import accepting, require_agreement, status_of
from medkd.feedback.keep import Reviewer, keep_form


def judged(log, report, make_form, number=1, predictions=("agree", "agree", "disagree"), reader="r1", **changes):
    names = ("lesion-1", "answer-1", "teacher-1")
    verdicts = tuple(
        FindingVerdict(finding=name, prediction=said, explanation="not_judged") for name, said in zip(names, predictions, strict=True)
    )
    return keep_form(log, report, make_form(number, verdicts=verdicts, **changes), Reviewer(reader, "radiologist"), offline=True)


def test_a_report_is_verified_where_one_reader_accepts_all_that_its_models_say(log, report, make_form):
    assert status_of(report, log.entries()) == "UNVERIFIED"
    judged(log, report, make_form, 1, ("agree", "unsure", "disagree"), reader="r1")
    assert status_of(report, log.entries()) == "UNVERIFIED"
    entry = judged(log, report, make_form, 2, reader="r2")  # what the teacher alone marks is none of the model's findings
    assert status_of(report, log.entries()) == "VERIFIED"
    assert accepting(report, log.entries(), entry.digest()) == entry


def test_who_takes_it_back_takes_the_status_back(log, report, make_form):
    first = judged(log, report, make_form)
    judged(log, report, make_form, 2, decision="reject", supersedes=first.digest())
    assert status_of(report, log.entries()) == "UNVERIFIED"
    with pytest.raises(FeedbackError, match="superseded by entry 2"):
        accepting(report, log.entries(), first.digest())


def test_what_is_not_agreed_with_is_named(log, report, make_form):
    entry = judged(log, report, make_form, 1, ("agree", "disagree", "agree"))
    require_agreement(entry, report.explanations[0])
    with pytest.raises(FeedbackError, match="says 'disagree' of answer-1"):
        require_agreement(entry, report.explanations[1])
