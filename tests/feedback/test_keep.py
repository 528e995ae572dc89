"""What may be kept: complete, about the report that was shown, after an own read, and once."""

from __future__ import annotations

import threading

import pytest

from data_contracts import CorrectedMask, Feedback, FeedbackError, FindingVerdict, OwnRead, OwnReadAnswer, VoxelMask
from medkd.feedback.keep import Reviewer, answers_of, feedback_of, findings_of, keep_form, keep_own_read, mapped_findings_of
from medkd.feedback.log import FeedbackLog

PRESENT = OwnReadAnswer(answer="present", seconds=12.0)
ON_GRID, ELSEWHERE = VoxelMask(shape=(4, 6, 8), runs=((3, 2),)), VoxelMask(shape=(4, 8, 6), runs=((3, 2),))


@pytest.fixture
def locked(log, report, reader):
    """Return the log with the reader's own read."""
    keep_own_read(log, report, PRESENT, reader)
    return log


def refused(code, call, *arguments, **named):
    with pytest.raises(FeedbackError) as caught:
        call(*arguments, **named)
    assert caught.value.code == code
    return str(caught.value)


def test_findings_are_lesions_answers_and_what_the_teacher_alone_marks(report):
    assert findings_of(report) == ("lesion-1", "teacher-1", "answer-1")
    assert mapped_findings_of(report) == ("lesion-1",)
    assert answers_of(report) == ("present", "absent", "unsure", "benign", "malignant")


def test_an_own_read_is_kept_once_for_each_reader_report_and_round(locked, report, reader):
    said = refused("OWN_READ_LOCKED", keep_own_read, locked, report, OwnReadAnswer(answer="absent", seconds=1.0), reader)
    assert "it stands" in said
    assert locked.own_read(reader.key, report.digest()).record.read.answer == "present"
    keep_own_read(locked, report, PRESENT, Reviewer(reader.key, reader.role, round=2))
    keep_own_read(locked, report, PRESENT, Reviewer("r0002", "radiologist"))
    assert len(locked) == 3


def test_an_answer_that_no_page_offers_is_refused_and_not_repeated(log, report, reader):
    said = refused("OWN_READ_ANSWER", keep_own_read, log, report, OwnReadAnswer(answer="Jane Doe", seconds=1.0), reader)
    assert "Jane" not in said
    assert len(log) == 0


def test_a_form_is_kept_behind_the_own_read_with_who_sent_it(locked, report, make_form, reader):
    entry = keep_form(locked, report, make_form(), reader)
    own, kept = locked.entries()
    assert kept == entry
    assert (kept.record.own_read, kept.record.reviewer_key, kept.record.round) == (own.digest(), reader.key, 1)
    assert isinstance(own.record, OwnRead)
    assert isinstance(kept.record, Feedback)
    assert locked.latest(reader.key, report.volume.study_key) == entry
    assert locked.of_form(make_form().form) == entry


def test_a_form_before_the_own_read_is_refused(log, report, make_form, reader):
    refused("OWN_READ_MISSING", keep_form, log, report, make_form(), reader)
    assert len(log) == 0


def test_an_offline_form_brings_its_own_read_and_is_the_same_record(log, locked, report, make_form, reader, tmp_path):
    online = keep_form(locked, report, make_form(), reader)
    away = FeedbackLog(tmp_path / "away")
    offline = keep_form(away, report, make_form(), reader, offline=True)
    kept = [entry.record.model_dump(exclude={"own_read"}) for entry in (online, offline)]
    assert kept[0] == kept[1]
    assert away.entries()[0].record == locked.entries()[0].record


def test_an_own_read_that_changed_after_the_models_were_seen_is_refused(locked, report, make_form, reader):
    changed = make_form(own_read=OwnReadAnswer(answer="absent", seconds=12.0))
    said = refused("OWN_READ_LOCKED", keep_form, locked, report, changed, reader, offline=True)
    assert "'present'" in said
    assert len(locked) == 1


def test_the_same_form_twice_is_one_entry_though_it_was_clicked_later(locked, report, make_form, reader):
    first = keep_form(locked, report, make_form(), reader)
    assert keep_form(locked, report, make_form(seconds_on_page=61.0), reader) == first
    assert len(locked) == 2


def test_a_double_click_in_two_threads_is_one_entry(locked, report, make_form, reader):
    kept, form = [], make_form()
    threads = [threading.Thread(target=lambda: kept.append(keep_form(locked, report, form, reader))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({entry.digest() for entry in kept}) == 1
    assert len(kept) == 6
    assert len(FeedbackLog(locked.folder)) == 2


def test_a_form_id_of_another_judgement_is_refused(locked, report, make_form, reader):
    keep_form(locked, report, make_form(), reader)
    refused("FEEDBACK_FORM_TAKEN", keep_form, locked, report, make_form(decision="reject"), reader)
    other = Reviewer("r0002", "radiologist")
    keep_own_read(locked, report, PRESENT, other)
    refused("FEEDBACK_FORM_TAKEN", keep_form, locked, report, make_form(), other)
    assert locked.latest(reader.key, report.volume.study_key).record.decision == make_form().decision


def test_a_second_judgement_of_a_round_must_supersede(locked, report, make_form, reader):
    first = keep_form(locked, report, make_form(1), reader)
    said = refused("FEEDBACK_GIVEN", keep_form, locked, report, make_form(2, decision="reject"), reader)
    assert first.digest() in said
    second = keep_form(locked, report, make_form(2, decision="reject", supersedes=first.digest()), reader)
    assert locked.latest(reader.key, report.volume.study_key) == second
    assert locked.superseded() == {first.digest()}
    refused("FEEDBACK_SUPERSEDES", keep_form, locked, report, make_form(3, supersedes=first.digest()), reader)
    keep_form(locked, report, make_form(3, supersedes=second.digest()), reader)


def test_what_is_superseded_must_be_an_own_judgement_of_the_study(locked, report, make_form, reader):
    first = keep_form(locked, report, make_form(1), reader)
    other = Reviewer("r0002", "radiologist")
    own = keep_own_read(locked, report, PRESENT, other)
    for digest in ("f" * 64, first.digest(), own.digest()):
        refused("FEEDBACK_SUPERSEDES", keep_form, locked, report, make_form(2, supersedes=digest), other)
    refused("FEEDBACK_SUPERSEDES", keep_form, locked, report, make_form(2, supersedes="f" * 64), Reviewer("r3", "x"), offline=True)
    assert locked.own_read("r3", report.digest()) is None  # a refused form locks nothing


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("FEEDBACK_REPORT", {"report": "e" * 64}),
        ("FEEDBACK_STUDY", {"study_key": "another"}),
        ("OWN_READ_ANSWER", {"own_read": OwnReadAnswer(answer="cyst", seconds=1.0)}),
        ("FEEDBACK_VERSION", {"page_version": "made by Jane"}),
        ("FEEDBACK_MASK", {"missed": (ELSEWHERE,)}),
        ("IDENTIFIER_IN_TEXT", {"comment": "Discussed with Dr. Miller"}),
    ],
)
def test_what_does_not_fit_the_report_is_refused_and_nothing_is_written(log, report, make_form, reader, code, changes):
    refused(code, keep_form, log, report, make_form(**changes), reader, offline=True)
    assert len(log) == 0


def test_a_finding_without_a_verdict_is_named(locked, report, make_form, reader):
    form = make_form()
    said = refused("FEEDBACK_VERDICTS", keep_form, locked, report, make_form(verdicts=form.verdicts[:1]), reader)
    assert "none on teacher-1, answer-1" in said
    more = (*form.verdicts, FindingVerdict(finding="lesion-9", prediction="agree", explanation="not_judged"))
    assert "one on lesion-9" in refused("FEEDBACK_VERDICTS", keep_form, locked, report, make_form(verdicts=more), reader)


def test_an_explanation_that_is_not_there_is_not_judged(locked, report, make_form, reader):
    verdicts = (*make_form().verdicts[:2], FindingVerdict(finding="teacher-1", prediction="agree", explanation="accepted"))
    assert "that of teacher-1" in refused("FEEDBACK_NO_MAP", keep_form, locked, report, make_form(verdicts=verdicts), reader)


def test_masks_lie_on_the_grid_of_the_study(locked, report, make_form, reader):
    def corrected(mask):
        masks = (CorrectedMask(meaning="forbidden", voxels=mask),)
        verdict = FindingVerdict(finding="lesion-1", prediction="agree", explanation="corrected", masks=masks)
        return make_form(verdicts=(verdict, *make_form().verdicts[1:]), decision="correct")

    assert "verdicts.lesion-1, got (4, 8, 6)" in refused("FEEDBACK_MASK", keep_form, locked, report, corrected(ELSEWHERE), reader)
    assert keep_form(locked, report, corrected(ON_GRID), reader).record.verdicts[0].masks[0].voxels == ON_GRID


def test_the_record_holds_all_that_the_form_says(make_form, reader):
    form = make_form(comment="The map lies on the rib.", missed=(ON_GRID,))
    record = feedback_of(form, reader, "a" * 64)
    said = form.model_dump(exclude={"own_read", "schema_version"})
    assert {name: value for name, value in record.model_dump().items() if name in said} == said
