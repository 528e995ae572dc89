from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import (
    LIKERT_ITEMS,
    ClassAnswer,
    FeedbackForm,
    FindingVerdict,
    Geometry,
    OwnRead,
    OwnReadAnswer,
    ReviewReport,
    map_name,
    read_record,
)
from medkd.feedback.keep import Reviewer
from medkd.feedback.log import FeedbackLog

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"
SHAPE = (4, 6, 8)


@pytest.fixture
def log(tmp_path):
    return FeedbackLog(tmp_path / "feedback")


@pytest.fixture(scope="session")
def own_read():
    """Return an own read that any log keeps."""
    return read_record((GOLDEN / "own_read_1.json").read_bytes(), OwnRead)


@pytest.fixture(scope="session")
def report():
    """Return a report with a lesion that has maps, an answer without, and a component that the teacher alone marks."""
    base = read_record((GOLDEN / "review_2.json").read_bytes(), ReviewReport)
    one = base.explanations[0]
    geometry = Geometry(
        shape=SHAPE, affine_lps_mm=((0, 0, 2, 0), (0, 2, 0, 0), (2, 0, 0, 0), (0, 0, 0, 1)), spacing_mm=(2, 2, 2), residual_mm=0.0
    )
    lesion = one.lesions[0].model_copy(update={"tracking_id": "lesion-1"})
    answer = ClassAnswer(
        number=1,
        class_name="malignant",
        probability=0.8,
        first_slice=0,
        last_slice=3,
        key_slice=1,
        probabilities={"benign": 0.2, "malignant": 0.8},
    )
    changes = {
        "volume": one.volume.model_copy(update={"geometry": geometry}),
        "lesions": (lesion,),
        "teacher_only": (lesion.model_copy(update={"tracking_id": "teacher-1"}),),
        "maps": (one.maps[0].model_copy(update={"tensor": map_name(1, "student", "grad_cam")}),),
    }
    first = one.model_copy(update=changes)
    second = first.model_copy(update={"lesions": (), "teacher_only": (), "maps": (), "answers": (answer,)})
    return base.model_copy(update={"explanations": (first, second)})


@pytest.fixture
def make_form(report):
    """Return a maker of forms about the report, accepted unless changed."""

    def make(number=1, **changes):
        verdicts = (
            FindingVerdict(finding="lesion-1", prediction="agree", explanation="accepted"),
            FindingVerdict(finding="answer-1", prediction="unsure", explanation="not_judged"),
            FindingVerdict(finding="teacher-1", prediction="disagree", explanation="not_judged"),
        )
        fields = {
            "form": f"{number:032x}",
            "report": report.digest(),
            "study_key": report.volume.study_key,
            "decision": "accept",
            "verdicts": verdicts,
            "likert": dict.fromkeys(LIKERT_ITEMS, 4),
            "seconds_on_page": 60.0,
            "seconds_with_overlay": 20.0,
            "page_version": "0.1.0",
            "own_read": OwnReadAnswer(answer="present", seconds=12.0),
        }
        return FeedbackForm.model_validate({**fields, **changes})

    return make


@pytest.fixture
def reader():
    return Reviewer("r0001", "radiologist")
