"""What makes a night worth running (as a deployment: test_deployments.py)."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from data_contracts import SourceError
from flows import nightly_distill
from flows.demo import RECIPES
from flows.nightly_distill import NightlyRun, distill_when_changed, state_of
from flows.pipeline import PipelineResult


@pytest.fixture
def night(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_DATA", str(tmp_path))
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "a.dcm").write_bytes(b"a")
    return NightlyRun((RECIPES / "phantom-classification.yaml",), tmp_path / "out", tmp_path / "studies")


def test_whatever_a_run_depends_on_is_in_its_state(night, monkeypatch):
    before = state_of(night, night.read())
    assert state_of(night, night.read()) == before
    changed = [
        replace(night, tracking_uri="http://server"),
        replace(night, policy="repair"),
        replace(night, candidate=True),
        replace(night, overrides={"seeds": [4]}),
        replace(night, studies=None),
    ]
    states = [state_of(one, one.read()) for one in changed]
    (night.studies / "b.dcm").write_bytes(b"b")
    states.append(state_of(night, night.read()))
    os.utime(night.studies / "b.dcm", (1, 1))
    states.append(state_of(night, night.read()))
    monkeypatch.setattr(nightly_distill, "code_version", lambda _: "another")
    states.append(state_of(night, night.read()))
    assert len({before, *states}) == 1 + len(states)


def test_a_night_without_news_runs_nothing_and_one_that_failed_is_run_again(night, monkeypatch):
    ran = []

    def pipeline(_, recipes, studies, policy, *, candidate):
        ran.append(studies.name)
        if len(ran) == 2:
            raise SourceError("SOURCE_MISSING", "expected a folder, there is nothing")
        return PipelineResult(())

    monkeypatch.setattr("flows.pipeline.pipeline", pipeline)
    monkeypatch.setattr(nightly_distill, "start_engine", lambda *_, **__: __import__("contextlib").nullcontext())
    assert distill_when_changed(night)["models"] == []
    assert distill_when_changed(night) is None
    (night.studies / "b.dcm").write_bytes(b"b")
    with pytest.raises(SourceError):
        distill_when_changed(night)
    assert distill_when_changed(night) is not None
    assert ran == ["studies"] * 3


def test_a_folder_of_studies_that_is_not_there_is_said_before_anything_is_made(night, tmp_path):
    with pytest.raises(SourceError) as caught:
        distill_when_changed(replace(night, studies=tmp_path / "nowhere"))
    assert caught.value.code == "SOURCE_MISSING"
    assert not night.out.exists()
