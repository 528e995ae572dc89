from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

import flows.pipeline
import flows.start
import flows.summary
from data_contracts import ExplanationBundle, read_record
from flows.commands import options
from flows.commands.learning import Last, _maps, learn_until
from flows.commands.options import EngineName, FlowOptions, RunOptions
from flows.pipeline import PipelineResult
from tests.flows.recording import GOLDEN, golden_recipe


@pytest.fixture
def bundle():
    return read_record((GOLDEN / "explanation_bundle_2.json").read_bytes(), ExplanationBundle)


def test_figures_of_maps_are_said_by_whose_they_are(bundle):
    result = PipelineResult((SimpleNamespace(bundles=(bundle,)), SimpleNamespace(bundles=())))
    assert _maps(result) == {bundle.subject: {name: figure.model_dump() for name, figure in bundle.figures.items()}}


@pytest.mark.parametrize(("last", "called"), [(Last.register, "pipeline"), (Last.explain, "learn"), (Last.evaluate, "learn")])
def test_a_recipe_is_taken_as_far_as_the_command_says(tmp_path, monkeypatch, capsys, last, called):
    workspace, done = SimpleNamespace(root=tmp_path), []

    @contextmanager
    def engine(name, *_, **__):
        done.append(name)
        yield

    def pipeline(*_, **__):
        done.append("pipeline")
        return PipelineResult(())

    def learn(*_, until):
        done.extend(("learn", until))
        return ()

    monkeypatch.setattr(options, "open_run", lambda *_, **__: (golden_recipe("r"), workspace))
    monkeypatch.setattr(flows.start, "start_engine", engine)
    monkeypatch.setattr(flows.pipeline, "pipeline", pipeline)
    monkeypatch.setattr(flows.pipeline, "learn", learn)
    monkeypatch.setattr(flows.summary, "run_summary", lambda *_, **__: {"ok": True})
    learn_until(Path("r.yaml"), RunOptions(), FlowOptions(EngineName.none, as_json=True), last)
    assert done == ["none", called, *([last.value] if called == "learn" else [])]
    assert '"recipe": "r"' in capsys.readouterr().out
    assert (tmp_path / "summary.json").is_file()
