from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import GateVerdict, Lineage, ModelRef, read_record

GOLDEN = Path(__file__).parent / "golden"
DIGEST = "c" * 64


@pytest.fixture
def model():
    return read_record((GOLDEN / "model_1.json").read_bytes(), ModelRef)


def test_a_lineage_is_written_as_one_text_and_read_from_it():
    text = f"site/phantom-teacher/3@{DIGEST}"
    lineage = Lineage.model_validate(text)
    assert (lineage.name, lineage.version, lineage.manifest_digest) == ("site/phantom-teacher", 3, DIGEST)
    assert str(lineage) == lineage.model_dump() == text
    assert lineage.uri == "models:/site/phantom-teacher/3"


@pytest.mark.parametrize("text", ["phantom-teacher", f"phantom-teacher/x@{DIGEST}", f"phantom-teacher/0@{DIGEST}", "phantom-teacher/1@abc"])
def test_a_text_that_is_no_lineage_is_refused(text):
    with pytest.raises(ValueError, match="validation error"):
        Lineage.model_validate(text)


def test_a_version_says_what_its_students_name_as_their_teacher(model):
    assert model.lineage == Lineage(name=model.name, version=model.version, manifest_digest=model.manifest_digest)
    assert model.uri == model.lineage.uri == "models:/phantom-kd/2"
    assert model.teacher.uri == "models:/phantom-teacher/1"


def test_a_gate_is_passed_when_every_finding_holds():
    verdict = read_record((GOLDEN / "gate_1.json").read_bytes(), GateVerdict)
    failed = verdict.findings[0].model_copy(update={"holds": False})
    assert verdict.passed
    assert not verdict.model_copy(update={"findings": (*verdict.findings, failed)}).passed
    assert verdict.model_copy(update={"findings": ()}).passed
