from __future__ import annotations

from pathlib import Path

from flows.inspect_model import inspect_model
from medkd.storage.workspace import Workspace
from tests.flows.recording import golden_recipe, recorded


def test_a_registered_model_is_asked_on_the_cohorts_of_the_recipe():
    recipe, workspace = golden_recipe(), Workspace(root=Path("run"), tracking_uri="of the run")
    with recorded(cohorts="the cohorts", inspect="what was found") as engine:
        assert inspect_model(workspace, recipe, "models:/m/1", "of the registry") == "what was found"
    assert [(title, stage) for title, stage, *_ in engine.groups] == [("cohorts", "prepare_cohorts"), ("inspect", "inspect_on_cohort")]
    assert engine.calls("inspect") == [(workspace, recipe.explanation(), "the cohorts", "models:/m/1", "of the registry")]
