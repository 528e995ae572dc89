from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import ExplanationAnswer, ExplanationQuestion, read_record

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    "wrong",
    [{"explanation": None, "content_id": None}, {"code": "CLASS_UNKNOWN"}, {"content_id": None}, {"seconds": -1.0}, {"question": "q"}],
)
def test_an_answer_is_an_explanation_with_its_folder_or_a_refusal(wrong):
    answer = read_record((GOLDEN / "explanation_answer_1.json").read_bytes(), ExplanationAnswer)
    with pytest.raises(ValueError, match="Answer"):
        ExplanationAnswer.model_validate({**answer.model_dump(), **wrong})
    assert ExplanationAnswer(question=answer.question, code="CLASS_UNKNOWN", reason="expected bright", seconds=1.0).explanation is None


@pytest.mark.parametrize("wrong", [{"place": (0, 1)}, {"place": (0, -1, 2)}, {"class_name": "x" * 81}, {"study_key": "../x"}])
def test_a_question_is_about_a_voxel_and_a_class(wrong):
    question = read_record((GOLDEN / "explanation_question_1.json").read_bytes(), ExplanationQuestion)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ExplanationQuestion.model_validate({**question.model_dump(), **wrong})
