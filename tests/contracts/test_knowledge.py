from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import KnowledgeRef, read_record

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def knowledge():
    return read_record((GOLDEN / "knowledge_2.json").read_bytes(), KnowledgeRef)


def test_the_teacher_is_named_by_its_registered_version(knowledge):
    assert knowledge.teacher.uri == "models:/t/1"
    assert KnowledgeRef.model_validate({**knowledge.model_dump(), "teacher": None}).teacher is None


@pytest.mark.parametrize(
    "changes", [{"cases": 0}, {"entries": 0}, {"bytes": -1}, {"teacher_digest": "t"}, {"measured": {"kl": float("nan")}}]
)
def test_knowledge_of_nothing_or_nobody_is_refused(knowledge, changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        KnowledgeRef.model_validate({**knowledge.model_dump(), **changes})


def test_a_first_version_kept_its_wish_under_the_words_of_then():
    assert read_record((GOLDEN / "knowledge_1.json").read_bytes(), KnowledgeRef).config.resolution in ("full", "half")
