from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import GateFinding, GateVerdict, Lineage, ModelCard, ModelRef, SeriesRule, read_record

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


def test_a_finding_without_a_measurement_says_why_and_holds_nothing():
    finding = GateFinding(requirement="min_auc", measured=None, bound=0.5, holds=False, why="undefined here")
    assert finding.said == "min_auc 0.5 (undefined here)"
    assert finding.model_copy(update={"measured": 0.25}).said == "min_auc 0.5 (measured 0.250)"
    for wrong in ({"holds": True, "why": "undefined here"}, {"holds": False}):
        with pytest.raises(ValueError, match="expected a finding that does not hold, and why"):
            GateFinding(requirement="min_auc", measured=None, bound=0.5, **wrong)


@pytest.mark.parametrize(
    ("seen", "needed"),
    [(("t1",), ["t1"]), (("t2",), ["t1", "t2"]), (("t2", "t1"), ["t1", "t2"]), (("t3", "t1"), ["t1", "t3"]), (("t1", "pet"), []), ((), [])],
)
def test_a_card_knows_which_series_are_needed_for_what_networks_see_and_for_the_label(seen, needed):
    """Labels lie on the first: it is needed although no network sees it. Of an image without a rule nothing can be told, so that nothing is."""
    card = read_record((GOLDEN / "model_card_3.json").read_bytes(), ModelCard)
    rules = {name: SeriesRule(words=(name,)) for name in ("t1", "t2", "t3")}
    task = card.task.model_copy(update={"channels": seen})
    assert list(card.model_copy(update={"series": rules}).needed_series(task)) == needed
    assert card.needed_series(task) == {}
