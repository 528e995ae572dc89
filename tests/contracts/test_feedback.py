from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import Feedback, LesionVerdict, read_record

GOLDEN = Path(__file__).parent / "golden" / "feedback_1.json"


@pytest.fixture
def line():
    return read_record(GOLDEN.read_bytes(), Feedback)


def test_a_line_follows_the_line_before_by_its_digest(line):
    following = line.model_copy(update={"previous": line.digest(), "supersedes": line.digest()})
    assert Feedback.model_validate(following.model_dump()).previous == line.digest()
    assert following.digest() != line.digest()


@pytest.mark.parametrize(
    "changes",
    [{"previous": "line 1"}, {"comment": "x" * 2001}, {"seconds_on_page": -1.0}, {"own_read": "perhaps"}, {"reviewer_key": "Dr House"}],
)
def test_a_line_that_could_not_be_chained_or_counted_is_refused(line, changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        Feedback.model_validate({**line.model_dump(), **changes})


def test_prediction_and_explanation_are_judged_apart():
    verdict = LesionVerdict(tracking_id="lesion-1", prediction="agree", explanation="rejected")
    assert (verdict.prediction, verdict.explanation) == ("agree", "rejected")
    with pytest.raises(ValueError, match="explanation"):
        LesionVerdict(tracking_id="lesion-1", prediction="agree", explanation="unsure")
