"""What the flow calls in which order, without calling it; and, extended, the whole of it on a phantom with a log on disk."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import DataError, Feedback, FeedbackDirectives, GateFinding, Redistillation, load_record
from flows.redistill import Readings, RedistillResult, distill_again, read_directives, redistill
from flows.redistill_text import redistill_summary, redistill_text
from medkd.feedback.log import FeedbackLog
from medkd.registry.recipe_result import RecipeResult
from tests.flows.recording import GOLDEN, golden_recipe, recorded

DIRECTIVES = load_record(GOLDEN / "feedback_directives_1.json", FeedbackDirectives)
OUTCOME = load_record(GOLDEN / "redistillation_1.json", Redistillation)
REFUSED = OUTCOME.model_copy(
    update={
        "verdict": OUTCOME.verdict.model_copy(
            update={"findings": (GateFinding(requirement="auc less before's, lower bound", measured=-0.2, bound=-0.01, holds=False),)}
        )
    }
)


def test_every_seed_is_distilled_again_without_feedback_and_with_it_from_the_same_specification():
    recipe = golden_recipe("r")
    before = RecipeResult(recipe, "cohorts", teacher="teacher", students=("b0", "b1"))
    with recorded(students_again=lambda _, spec, *more: (spec.seed, len(spec.objective.terms), more[-1])) as engine:
        again = distill_again("workspace", before, DIRECTIVES)
    terms = len(recipe.arms["kd"].terms)
    assert again["control"].students == tuple((seed, terms, DIRECTIVES.without_teaching()) for seed in recipe.seeds)
    assert again["after"].students == tuple((seed, terms + 1, DIRECTIVES) for seed in recipe.seeds)
    ((_, function, calls, names),) = engine.groups
    assert function == "distill"
    assert all(call[2:5] == ("cohorts", "teacher", None) for call in calls)
    assert names == ["r kd-0 without feedback", "r kd-1 without feedback", "r kd-0 with feedback", "r kd-1 with feedback"]


@pytest.fixture
def played(monkeypatch, tmp_path):
    """Let every flow that is called answer at once; return what was called, and a caller of the flow with an outcome."""
    import flows.redistill as module

    called = []

    def answer(name):
        def flow(_workspace, results, *_):
            called.append(name)
            return tuple(results)

        return flow

    for name in ("train_teacher", "extract_knowledge", "distill", "evaluate", "explain", "register"):
        monkeypatch.setattr(module, name, answer(name))
    registered = SimpleNamespace(require_registered=lambda: "registered")
    monkeypatch.setattr(module, "register", lambda *_: called.append("register") or (registered,))
    monkeypatch.setattr(module, "register_candidates", lambda *_: called.append("candidate") or ("models:/r-kd/2",))
    monkeypatch.setattr(module, "prepare", lambda _, recipes: tuple(RecipeResult(one, "cohorts", teacher="t") for one in recipes))
    monkeypatch.setattr(module, "distill_again", lambda _, before, __: called.append("again") or {"control": before, "after": before})

    def call(outcome):
        with recorded(gate=lambda *_: outcome) as engine:
            found = redistill(SimpleNamespace(root=tmp_path), golden_recipe("r"), DIRECTIVES, "kd")
        return found, engine

    return called, call


def test_a_student_that_passes_is_explained_registered_and_proposed_with_its_feedback_beside_it(played, tmp_path):
    called, call = played
    found, engine = call(OUTCOME)
    assert called == ["train_teacher", "extract_knowledge", "distill", "again", *["evaluate"] * 3, "explain", "register", "candidate"]
    assert (found.candidate, found.refused_by) == ("models:/r-kd/2", ())
    assert engine.titles() == ["gate", "register feedback"]
    assert engine.calls("register feedback")[0][1:] == ("registered", DIRECTIVES, OUTCOME)
    assert len(list((tmp_path / "feedback").glob("*.json"))) == 2


def test_a_student_that_is_refused_is_a_result_and_nothing_is_registered(played, tmp_path):
    called, call = played
    found, engine = call(REFUSED)
    assert found.candidate is None
    assert found.refused_by == ("auc less before's, lower bound",)
    assert called[-1] == "evaluate"
    assert engine.titles() == ["gate"]
    assert len(list((tmp_path / "feedback").glob("*.json"))) == 2


def test_what_came_of_it_is_said_in_a_table_and_as_one_object():
    said = redistill_text(RedistillResult(DIRECTIVES, REFUSED))
    assert "7 entries; 1 studies teach, 1 judge, 1 wait for new labels; ignored: conflict 2, control 1" in said
    assert "-0.2000" in said
    assert "not registered" in said
    summary = redistill_summary(RedistillResult(DIRECTIVES, REFUSED))
    assert (summary["passed"], summary["candidate"], summary["studies"]) == (False, None, {"train": 1, "eval": 1})
    assert summary["students"]["after"]["inside (train)"]["mean"] == 0.4
    assert summary["students"]["after"]["inside (eval)"] is None


def test_a_log_that_teaches_nothing_is_refused_with_what_was_ignored(tmp_path):
    log = FeedbackLog(tmp_path / "log")
    with pytest.raises(DataError) as caught:
        read_directives(golden_recipe("r"), Readings(tmp_path / "log", tmp_path))
    assert caught.value.code == "FEEDBACK_EMPTY"
    log.append(load_record(GOLDEN / "feedback_2.json", Feedback))
    with pytest.raises(DataError, match="1 no_report") as caught:
        read_directives(golden_recipe("r"), Readings(tmp_path / "log", tmp_path))
    assert caught.value.code == "FEEDBACK_TEACHES_NOTHING"
