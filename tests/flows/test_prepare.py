from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import DicomData, SourceError
from flows import prepare as module
from flows.prepare import prepare
from medkd.storage.workspace import Workspace
from tests.flows.recording import golden_recipe, recorded


def workspace(root):
    return Workspace(root=Path("run"), tracking_uri="", data_root=root)


def test_each_recipe_gets_its_cohorts(tmp_path):
    recipes = tuple(golden_recipe(name) for name in ("a", "b"))
    with recorded(cohorts=lambda _, spec, *__: f"cohorts of {spec.name}") as engine:
        results = prepare(workspace(tmp_path), recipes)
    assert [(one.recipe.name, one.cohorts) for one in results] == [("a", "cohorts of a"), ("b", "cohorts of b")]
    assert engine.groups[0][3] == ["a", "b"]
    assert [call[2:] for call in engine.calls("cohorts")] == [("", None)] * 2


def test_dicom_is_ingested_first_into_the_runs_own_store_by_the_recipes_policy(tmp_path):
    (tmp_path / "studies").mkdir()
    recipe = golden_recipe(data=DicomData(path="studies"))
    with recorded(ingest="the ledger") as engine:
        prepare(workspace(tmp_path), (recipe,))
    assert engine.titles() == ["ingest", "cohorts"]
    ((request,),) = engine.calls("ingest")
    assert (request.source, request.policy) == (tmp_path / "studies", recipe.data.policy)
    assert request.out.is_relative_to(Path("run"))
    assert engine.calls("cohorts")[0][3] == "the ledger"


def test_a_folder_that_is_not_there_is_said_before_anything_is_computed(tmp_path):
    with recorded() as engine, pytest.raises(SourceError) as caught:
        prepare(workspace(tmp_path), (golden_recipe(data=DicomData(path="none")),))
    assert caught.value.code == "SOURCE_MISSING"
    assert engine.groups == []


def test_slow_precision_is_warned_of_for_teachers_and_students(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "warn_of_slow_precision", asked.extend)
    with recorded():
        prepare(workspace(tmp_path), (golden_recipe(),))
    assert len(asked) == 2
