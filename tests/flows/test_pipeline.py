from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_contracts import IngestPolicy
from flows import pipeline as module
from flows.pipeline import STORE, PipelineResult, learn, pipeline
from medkd.storage.workspace import Workspace
from tests.flows.recording import golden_recipe, recorded

STEPS = ("prepare", "train_teacher", "extract_knowledge", "distill", "evaluate", "explain", "register", "register_knowledge")


@pytest.fixture
def steps(monkeypatch):
    """Let every step note its name and hand on what it was given."""
    done = []

    def step(name):
        def run(_, given):
            done.append(name)
            return given

        return run

    # What ships metrics writes into the run's folder: here there is none.
    metrics = SimpleNamespace(finish=lambda: done.append("last look"), drain=lambda: done.append("all sent"))
    monkeypatch.setattr(module, "shipping", lambda *_: nullcontext(metrics))
    for name in STEPS:
        monkeypatch.setattr(module, name, step(name))
    return done


@pytest.mark.parametrize(("until", "last"), [("evaluate", "evaluate"), ("explain", "explain"), ("register", "register_knowledge")])
def test_recipes_are_taken_as_far_as_asked_step_by_step(steps, until, last):
    recipes = (golden_recipe(),)
    with recorded():
        assert learn("workspace", recipes, until=until) == recipes
    assert tuple(step for step in steps if step in STEPS) == STEPS[: STEPS.index(last) + 1]


def test_metrics_are_sent_while_models_are_evaluated_and_are_all_there_before_they_are_registered(steps):
    with recorded():
        learn("workspace", (golden_recipe(),))
    order = [step for step in steps if step in {"distill", "last look", "evaluate", "explain", "all sent", "register"}]
    assert order == ["distill", "last look", "evaluate", "explain", "all sent", "register"]


def test_without_studies_nothing_is_ingested_or_reported(steps):
    workspace = Workspace(root=Path("run"), tracking_uri="")
    with recorded() as engine:
        found = pipeline(workspace, (golden_recipe(),))
    assert found == PipelineResult((golden_recipe(),))
    assert engine.groups == []
    assert {"teachers", "students"} <= set(engine.expected)
    assert "ingest" not in engine.expected


def test_studies_are_ingested_before_and_reported_after_what_is_learnt(steps, monkeypatch):
    workspace = Workspace(root=Path("run"), tracking_uri="")
    monkeypatch.setattr(module, "review", lambda _, results: f"reports by {results[0].name}")
    with recorded(ingest="ledger") as engine:
        found = pipeline(workspace, (golden_recipe("r"),), Path("studies"))
    ((request,),) = engine.calls("ingest")
    assert (request.source, request.out, request.policy) == (Path("studies"), Path("run") / STORE, IngestPolicy())
    assert (found.ingested, found.reports) == ("ledger", "reports by r")
    assert {"ingest", "reports"} <= set(engine.expected)
