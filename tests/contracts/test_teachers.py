from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from data_contracts import Checkpoint, KnowledgeRef, KnowledgeSet, TeacherSet, read_record

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def checkpoint():
    return read_record(next(GOLDEN.glob("checkpoint_2*.json")).read_bytes(), Checkpoint)


def test_a_set_knows_its_first_and_whose_network_is_whose(checkpoint):
    other = checkpoint.model_copy(update={"weights_digest": "f" * 64})
    found = TeacherSet(networks=(("a", checkpoint), ("cv", other), ("cv", checkpoint)))
    assert found.first == checkpoint
    assert found.digests == (checkpoint.weights_digest, "f" * 64, checkpoint.weights_digest)
    assert found.of("cv") == (other, checkpoint)
    assert found.of("b") == ()
    with pytest.raises(ValidationError):
        TeacherSet(networks=())


def test_one_teacher_and_several_are_told_apart_when_they_are_read(checkpoint):
    either = TypeAdapter(Checkpoint | TeacherSet | None)
    for value in (checkpoint, TeacherSet(networks=(("a", checkpoint),)), None):
        assert either.validate_python(either.dump_python(value, mode="json")) == value


def test_what_several_stored_is_digested_in_order():
    record = read_record(next(GOLDEN.glob("knowledge_2*.json")).read_bytes(), KnowledgeRef)
    other = record.model_copy(update={"teacher_digest": "f" * 64})
    first, second = KnowledgeSet(parts=(("a", record), ("b", other))), KnowledgeSet(parts=(("b", other), ("a", record)))
    assert first.digests == (record.teacher_digest, "f" * 64)
    assert first.digest() != second.digest()
