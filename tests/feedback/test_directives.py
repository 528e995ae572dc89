"""From a log to directives: every row of the table, several readers, and what teaches nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_contracts import (
    LIKERT_ITEMS,
    ControlCase,
    CorrectedMask,
    DataError,
    Feedback,
    FeedbackEntry,
    FindingVerdict,
    ReviewReport,
    TaskKind,
    VoxelMask,
    load_record,
)
from medkd.cohorts.case_directives import forbidden_percent
from medkd.feedback.directives import DirectiveOptions, JudgedReport, directives_of
from medkd.volumes.voxel_masks import mask_of, voxels_of

GOLDEN = load_record(Path(__file__).parents[1] / "contracts" / "golden" / "review_4.json", ReviewReport)
SHAPE = GOLDEN.volume.geometry.shape
OPTIONS = DirectiveOptions(TaskKind.SEGMENTATION, b"secret", eval_share=0.0)
CONTOUR = VoxelMask(shape=SHAPE, runs=((100, 20),))


def marked(*runs):
    return VoxelMask(shape=SHAPE, runs=runs)


def report_of(number, *, patient=None, trusted=True):
    """Return the golden report as one of another study, its explainer trusted or not."""
    explanation = GOLDEN.explanations[0]
    keys = {"study_key": f"st{number}", "series_key": f"s{number}", "patient_key": patient or f"p{number}"}
    verdicts = tuple(one.model_copy(update={"trusted": trusted}) for one in explanation.sanity_reports)
    changed = explanation.model_copy(update={"volume": explanation.volume.model_copy(update=keys), "sanity_reports": verdicts})
    return GOLDEN.model_copy(update={"explanations": (changed,)})


def verdict(prediction="agree", explanation="accepted", *, forbidden=(), allowed=(), finding="lesion-1"):
    masks = [CorrectedMask(meaning="forbidden", voxels=marked(*forbidden))] if forbidden else []
    masks += [CorrectedMask(meaning="allowed", voxels=marked(*allowed))] if allowed else []
    return FindingVerdict(finding=finding, prediction=prediction, explanation="corrected" if masks else explanation, masks=tuple(masks))


class Log:
    """A log in memory, of judgements of reports."""

    def __init__(self):
        self.entries, self.reports = [], {}

    def shown(self, report, contours=True):
        self.reports[report.digest()] = JudgedReport(report, {"lesion-1": CONTOUR} if contours else {})
        return report

    def write(self, record):
        previous = self.entries[-1].digest() if self.entries else None
        self.entries.append(FeedbackEntry(index=len(self.entries), at="2026-01-02T03:04:05Z", previous=previous, record=record))
        return self.entries[-1].digest()

    def say(self, report, *verdicts, reader="r1", supersedes=None, missed=()):
        return self.write(
            Feedback(
                form=f"{len(self.entries):032x}", report=report.digest(), study_key=report.volume.study_key, decision="correct",
                verdicts=verdicts, missed=missed, likert=dict.fromkeys(LIKERT_ITEMS, 3), seconds_on_page=9.0, seconds_with_overlay=1.0,
                page_version="1", supersedes=supersedes, reviewer_key=reader, reviewer_role="radiologist", own_read="a" * 64,
            )
        )  # fmt: skip

    def directives(self, options=OPTIONS):
        return directives_of(self.entries, self.reports, options)

    def only(self, options=OPTIONS):
        (found,) = self.directives(options).studies
        return found


@pytest.fixture
def log():
    return Log()


def test_agreement_and_an_accepted_map_change_nothing(log):
    log.say(log.shown(report_of(1)), verdict())
    found = log.only()
    assert (found.prediction_weight, found.explanation_weight, found.regions) == (1.0, 1.0, ())
    assert (found.study_key, found.case_key, found.patient_key, found.part) == ("st1", "s1", "p1", "train")
    assert log.directives().used == (log.entries[0].digest(),)
    assert log.directives().log_head == log.entries[-1].digest()


def test_a_rejected_map_is_not_copied_and_asked_to_stay_in_the_contour_at_half_the_strength(log):
    log.say(log.shown(report_of(1)), verdict(explanation="rejected"))
    found = log.only()
    assert (found.prediction_weight, found.explanation_weight) == (1.0, 0.0)
    assert [(one.meaning, one.factor, one.voxels) for one in found.regions] == [("allowed", 0.5, CONTOUR)]


def test_a_contour_that_is_not_there_is_counted(log):
    log.say(log.shown(report_of(1), contours=False), verdict(explanation="rejected"))
    assert log.only().regions == ()
    assert log.only().explanation_weight == 0.0
    assert log.directives().ignored == {"no_contour": 1}


def test_a_corrected_map_forbids_what_was_drawn(log):
    log.say(log.shown(report_of(1)), verdict(forbidden=((5, 3),)))
    assert log.only().explanation_weight == 0.0
    assert [(one.meaning, one.factor, one.voxels.runs) for one in log.only().regions] == [("forbidden", 1.0, ((5, 3),))]


def test_a_study_that_a_reader_disagrees_with_is_queued_and_weighs_nothing(log):
    log.say(log.shown(report_of(1)), verdict("disagree", forbidden=((5, 3),)))
    assert (log.only().prediction_weight, log.only().explanation_weight, log.only().regions) == (0.0, 0.0, ())
    assert log.directives().relabel == ("st1",)


def test_what_no_model_marked_queues_the_study(log):
    log.say(log.shown(report_of(1)), verdict(), missed=(marked((7, 2)),))
    assert log.directives().relabel == ("st1",)


def test_unsure_and_controls_teach_nothing(log):
    log.say(log.shown(report_of(1)), verdict("unsure", forbidden=((5, 3),)))
    shown = log.shown(report_of(2))
    log.write(ControlCase(report=shown.digest(), genuine="b" * 64, study_key="st2", kind="mirrored", reviewer_key="r1"))
    log.say(shown, verdict(forbidden=((5, 3),)))
    found = log.directives()
    assert [one.case_key for one in found.studies] == ["s1"]
    assert found.studies[0].explanation_weight == 1.0
    assert found.ignored == {"control": 1, "unsure": 1}


def test_the_genuine_report_of_a_study_counts_though_another_study_showed_it_as_a_control(log):
    genuine = log.shown(report_of(1))
    log.write(ControlCase(report=genuine.digest(), genuine="b" * 64, study_key="st9", kind="other_study", reviewer_key="r2"))
    log.say(genuine, verdict(forbidden=((5, 3),)))
    assert log.only().explanation_weight == 0.0


def test_only_the_last_of_what_a_reader_said_counts(log):
    shown = log.shown(report_of(1))
    first = log.say(shown, verdict("disagree"))
    second = log.say(shown, verdict(forbidden=((5, 3),)), supersedes=first)
    last = log.say(shown, verdict(), supersedes=second)
    assert log.only().explanation_weight == 1.0
    assert log.directives().used == (last,)
    assert log.directives().ignored == {"superseded": 2}
    assert log.directives().relabel == ()


def test_a_correction_of_a_report_that_was_made_anew_supersedes_and_another_readers_does_not(log):
    old, new = log.shown(report_of(1)), log.shown(report_of(1).model_copy(update={"caveats": ()}))
    first = log.say(old, verdict("disagree"))
    log.say(new, verdict(), supersedes=first)
    assert log.directives().relabel == ()
    log.say(new, verdict(), reader="r2", supersedes=log.say(old, verdict("disagree")))
    assert log.directives().relabel == ("st1",)


def test_a_voxel_is_forbidden_where_more_than_half_of_the_readers_say_so(log):
    shown = log.shown(report_of(1))
    for reader, runs in (("r1", ((10, 6),)), ("r2", ((13, 6),)), ("r3", ((40, 2),))):
        log.say(shown, verdict(forbidden=runs), reader=reader)
    assert [one.voxels.runs for one in log.only().regions] == [((13, 3),)]


def test_readers_who_agree_on_no_voxel_are_a_conflict_and_leave_the_contour(log):
    shown = log.shown(report_of(1))
    log.say(shown, verdict(forbidden=((10, 6),)), reader="r1")
    log.say(shown, verdict(forbidden=((40, 2),)), reader="r2")
    assert [(one.meaning, one.factor) for one in log.only().regions] == [("allowed", 0.5)]
    assert log.directives().ignored == {"conflict": 1}


@pytest.mark.parametrize(("first", "second"), [(verdict(), verdict("disagree")), (verdict(), verdict(forbidden=((5, 3),)))])
def test_one_against_one_is_a_conflict_and_is_ignored(log, first, second):
    shown = log.shown(report_of(1))
    log.say(shown, first, reader="r1")
    log.say(shown, second, reader="r2")
    assert (log.only().prediction_weight, log.only().explanation_weight, log.only().regions) == (1.0, 1.0, ())
    assert log.directives().ignored == {"conflict": 1}
    assert log.directives().relabel == ()


def test_what_one_reader_allows_and_forbids_is_neither(log):
    log.say(log.shown(report_of(1)), verdict(forbidden=((10, 6),), allowed=((13, 6),)))
    assert [(one.meaning, one.voxels.runs) for one in log.only().regions] == [("allowed", ((16, 3),)), ("forbidden", ((10, 3),))]
    assert log.directives().ignored == {"conflict": 1}


def test_maps_of_an_explainer_that_failed_are_not_heard_about(log):
    log.say(log.shown(report_of(1, trusted=False)), verdict(forbidden=((5, 3),)))
    assert (log.only().explanation_weight, log.only().regions) == (1.0, ())
    assert log.directives().ignored == {"failed_explainer": 1}


def test_feedback_without_its_report_on_another_grid_or_of_another_model_is_counted(log):
    log.say(report_of(1), verdict("disagree"))
    other = CorrectedMask(meaning="forbidden", voxels=VoxelMask(shape=(1, 2, 3), runs=((0, 1),)))
    shown = log.shown(report_of(2))
    log.say(shown, FindingVerdict(finding="lesion-1", prediction="agree", explanation="corrected", masks=(other,)), verdict("disagree", finding="answer-1"), verdict(finding="teacher-1"))  # fmt: skip
    found = log.directives()
    assert found.ignored == {"no_report": 1, "other_grid": 1, "other_finding": 2}
    assert found.relabel == ()
    assert [one.meaning for one in found.studies[0].regions] == ["allowed"]


def test_patients_are_drawn_into_parts_by_a_keyed_hash_and_never_split(log):
    for number in range(200):
        log.say(log.shown(report_of(number, patient=f"p{number // 2}")), verdict())
    options = DirectiveOptions(TaskKind.SEGMENTATION, b"secret", eval_share=0.25)
    found, other = log.directives(options), log.directives(DirectiveOptions(TaskKind.SEGMENTATION, b"another", eval_share=0.25))
    part = {one.case_key: one.part for one in found.studies}
    assert all(part[f"s{2 * number}"] == part[f"s{2 * number + 1}"] for number in range(100))
    assert 25 <= len(found.of_part("eval")) <= 75
    assert part != {one.case_key: one.part for one in other.studies}
    assert found.digest() == log.directives(options).digest()
    log.say(log.shown(report_of(900)), verdict())
    later = {one.case_key: one.part for one in log.directives(options).studies}
    assert {key: later[key] for key in part} == part  # more feedback moves nobody
    assert not found.without_teaching().of_part("train")


def test_a_log_without_entries_is_refused(log):
    with pytest.raises(DataError) as caught:
        log.directives()
    assert caught.value.code == "FEEDBACK_EMPTY"


def test_a_mask_is_the_voxels_it_was_made_of():
    voxels = np.random.default_rng(0).random((3, 4, 5)) > 0.5
    assert np.array_equal(voxels_of(mask_of(voxels)), voxels)
    assert forbidden_percent(()) is None
