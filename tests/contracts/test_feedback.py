from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import (
    LIKERT_ITEMS,
    ContractError,
    ControlCase,
    CorrectedMask,
    Feedback,
    FeedbackEntry,
    FeedbackForm,
    FindingVerdict,
    OwnRead,
    ScaleAnswers,
    VoxelMask,
    read_record,
)

GOLDEN = Path(__file__).parent / "golden"
MASK = VoxelMask(shape=(2, 3, 4), runs=((0, 2), (5, 1)))


def golden(record):
    return read_record((GOLDEN / f"{record.SCHEMA.replace('/', '_')}.json").read_bytes(), record)


@pytest.mark.parametrize("record", [OwnRead, Feedback, ScaleAnswers, ControlCase])
def test_a_line_holds_each_record_as_what_it_is(record):
    line = FeedbackEntry(index=0, at="2026-01-02T03:04:05Z", previous=None, record=golden(record))
    again = read_record(line.canonical_json(), FeedbackEntry)
    assert type(again.record) is record
    assert again.digest() == line.digest()


@pytest.mark.parametrize("wrong", [{"index": -1}, {"at": "today"}, {"at": "2026-01-02T03:04:05+01:00"}, {"previous": "line 1"}])
def test_a_line_that_could_not_be_chained_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FeedbackEntry.model_validate({**golden(FeedbackEntry).model_dump(), **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"comment": "x" * 2001},
        {"seconds_on_page": -1.0},
        {"seconds_with_overlay": float("nan")},
        {"language": "fr"},
        {"form": "1"},
        {"decision": "perhaps"},
        {"likert": dict.fromkeys(LIKERT_ITEMS, 6)},
        {"likert": dict.fromkeys(LIKERT_ITEMS[1:], 3)},
        {"likert": {**dict.fromkeys(LIKERT_ITEMS, 3), "beautiful": 5}},
    ],
)
@pytest.mark.parametrize("record", [FeedbackForm, Feedback])
def test_a_judgement_that_could_not_be_counted_is_refused(record, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        record.model_validate({**golden(record).model_dump(), **wrong})


def test_a_finding_is_judged_once():
    form = golden(FeedbackForm)
    with pytest.raises(ValueError, match="one verdict on each finding, got lesion-1, lesion-1"):
        FeedbackForm.model_validate({**form.model_dump(), "verdicts": (form.verdicts[0], form.verdicts[0])})


@pytest.mark.parametrize("wrong", [{"own_read": "no digest"}, {"reviewer_key": "Dr House"}, {"round": 0}])
def test_feedback_says_who_and_after_which_own_read(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Feedback.model_validate({**golden(Feedback).model_dump(), **wrong})


def test_prediction_and_explanation_are_judged_apart():
    verdict = FindingVerdict(finding="lesion-1", prediction="agree", explanation="rejected")
    assert (verdict.prediction, verdict.explanation) == ("agree", "rejected")
    with pytest.raises(ValueError, match="explanation"):
        FindingVerdict(finding="lesion-1", prediction="agree", explanation="unsure")


def test_who_corrects_an_explanation_draws_where():
    mask = CorrectedMask(meaning="forbidden", voxels=MASK)
    with pytest.raises(ValueError, match="corrected with 0"):
        FindingVerdict(finding="lesion-1", prediction="agree", explanation="corrected")
    with pytest.raises(ValueError, match="accepted with 1"):
        FindingVerdict(finding="lesion-1", prediction="agree", explanation="accepted", masks=(mask,))


@pytest.mark.parametrize("runs", [((0, 2), (2, 1)), ((5, 1), (0, 2)), ((0, 25),), ((23, 2),), ((-1, 1),), ((0, 0),), ()])
def test_runs_ascend_do_not_touch_and_stay_within_the_grid(runs):
    with pytest.raises(ValueError, match="runs"):
        VoxelMask(shape=(2, 3, 4), runs=runs)


def test_a_mask_may_end_with_the_last_voxel():
    assert VoxelMask(shape=(2, 3, 4), runs=((0, 1), (22, 2))).runs[-1] == (22, 2)


def test_feedback_of_the_first_version_is_said_to_be_nobodys():
    with pytest.raises(ContractError, match="no version of medkd wrote it"):
        read_record((GOLDEN / "feedback_1.json").read_bytes(), Feedback)
