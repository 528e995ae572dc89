from __future__ import annotations

from types import SimpleNamespace

from data_contracts import FeedbackDirectives, Redistillation, load_record
from flows.redistill import RedistillResult
from flows.redistill_text import redistill_summary, redistill_text
from tests.flows.recording import GOLDEN

DIRECTIVES = load_record(GOLDEN / "feedback_directives_1.json", FeedbackDirectives)
OUTCOME = load_record(GOLDEN / "redistillation_1.json", Redistillation)


def test_each_student_is_a_column_and_each_figure_a_row():
    passed = RedistillResult(DIRECTIVES, OUTCOME, SimpleNamespace(uri="models:/r-kd/2"))
    said = redistill_text(passed)
    head = next(line for line in said.splitlines() if line.startswith("share of attribution"))
    assert head.split()[-3:] == ["before", "control", "after"]
    assert "forbidden (eval)" in said
    assert ".400 [.300, .500]" in said
    assert said.endswith("registered as candidate: models:/r-kd/2")
    summary = redistill_summary(passed)
    assert (summary["passed"], summary["candidate"], summary["directives"]) == (True, "models:/r-kd/2", OUTCOME.directives)
