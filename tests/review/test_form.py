from __future__ import annotations

import pytest

from data_contracts import ReviewReport
from data_contracts.feedback import Feedback, OwnRead
from medkd.feedback.keep import findings_of, mapped_findings_of
from medkd.review.form import REASONS, answered, empty_form, form_findings
from medkd.review.texts import in_each, texts_of

DIGEST = "0" * 64


def test_the_findings_that_are_asked_about_are_those_that_need_a_verdict(report, of_a_panel, change, nothing_found):
    missed = report.explanations[0].lesions[0].model_copy(update={"tracking_id": "teacher-1"})
    for one in (report, of_a_panel[0], change(report, teacher_only=(missed,)), nothing_found):
        asked = form_findings(one)
        assert tuple(finding.name for finding in asked) == findings_of(one)
        assert tuple(finding.name for finding in asked if finding.has_map) == mapped_findings_of(one)


def test_findings_are_called_as_the_page_calls_them(of_a_panel, change, report):
    both, _ = of_a_panel
    assert [in_each(one.label)["en"] for one in form_findings(both)] == ["lesion 1", "answer 1"]
    assert [one.place for one in form_findings(both)] == [0, 1]
    anatomy = change(report, structures="anatomy")
    assert [in_each(one.label)["zh"] for one in form_findings(anatomy)] == ["结构 1"]


def test_every_reason_has_its_text():
    for language in ("en", "zh"):
        assert {f"form.reason.{one}" for one in REASONS} <= set(texts_of(language))


@pytest.fixture
def said(report: ReviewReport) -> Feedback:
    shared = {"report": report.digest(), "study_key": report.volume.study_key, "reviewer_key": "reviewer-1"}
    own = OwnRead.model_validate({**shared, "read": {"answer": "present", "seconds": 1}})
    return Feedback.model_validate(
        {
            **shared, "form": "0" * 32, "decision": "correct", "page_version": "1", "seconds_on_page": 2, "seconds_with_overlay": 1,
            "likert": dict.fromkeys(("understandable", "plausible", "certainty_fits", "useful"), 3), "comment": "None.", "reviewer_role": "radiologist",
            "own_read": own.digest(),
            "verdicts": [{"finding": "lesion-1", "prediction": "agree", "explanation": "rejected", "reasons": ["UNCLEAR"]}],
        }
    )  # fmt: skip


def test_a_form_that_corrects_is_filled_with_what_was_said(report, said):
    found = answered(empty_form(report), said, digest=DIGEST, at="2026-01-02T03:04:05Z")
    assert (found.decision, found.comment, found.supersedes, found.signed) == ("correct", "None.", DIGEST, "2026-01-02 03:04:05")
    assert found.rated["useful"] == 3
    assert (found.findings[0].prediction, found.findings[0].explanation, found.findings[0].reasons) == ("agree", "rejected", ("UNCLEAR",))


def test_what_was_drawn_is_asked_again(report, said):
    mask = {"meaning": "allowed", "voxels": {"shape": (1, 2, 3), "runs": [(0, 1)]}}
    verdict = {"finding": "lesion-1", "prediction": "agree", "explanation": "corrected", "masks": [mask]}
    drawn = Feedback.model_validate({**said.model_dump(), "verdicts": [verdict]})
    assert answered(empty_form(report), drawn, digest=DIGEST, at="2026-01-02T03:04:05Z").findings[0].explanation == ""
