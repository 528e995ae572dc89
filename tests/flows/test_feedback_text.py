from __future__ import annotations

from pathlib import Path

from data_contracts import LIKERT_ITEMS, FeedbackForm, OwnReadAnswer, ReviewReport, read_record
from flows.feedback_text import figures_in_words, figures_of
from medkd.feedback.keep import Reviewer, keep_form
from medkd.feedback.log import FeedbackLog

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "review_2.json"


def test_figures_are_said_as_data_and_in_words(tmp_path):
    base = read_record(GOLDEN.read_bytes(), ReviewReport)
    report = base.model_copy(update={"explanations": (base.explanations[0].model_copy(update={"lesions": (), "teacher_only": ()}),)})
    log = FeedbackLog(tmp_path)
    for number, answer in enumerate(("present", "absent")):
        form = FeedbackForm(
            form=f"{number:032x}", report=report.digest(), study_key=report.volume.study_key, decision="accept",
            likert=dict.fromkeys(LIKERT_ITEMS, 3), seconds_on_page=1, seconds_with_overlay=0, page_version="0",
            own_read=OwnReadAnswer(answer=answer, seconds=1),
        )  # fmt: skip
        keep_form(log, report, form, Reviewer(f"r{number}", "radiologist"), offline=True)
    figures = figures_of(log.entries(), {report.digest(): report})
    assert figures["kinds"] == {"own_read": 2, "feedback": 2}
    assert figures["changes"][0]["counts"] == [
        {"before": "present", "after": "absent", "judgements": 1},
        {"before": "absent", "after": "absent", "judgements": 1},
    ]
    assert figures_in_words(figures) == [
        "4 entries: 2 own_read, 2 feedback",
        "round 1, own_read: kappa 0.00 of r0, r1 over 1 items",
        "round 1, decision: kappa undefined of r0, r1 over 1 items",
        "round 1: wrong maps accepted never asked, the models' own never asked",
        "round 1: own reads changed 0.50 [0.09, 0.91] of 2, of those that differed, to the model's answer 1.00 [0.21, 1.00] of 1; 0 not comparable",
    ]
