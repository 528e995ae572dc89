"""Keys and rows of artefacts (as Prefect has them: test_prefect_engine.py)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import Estimate, ModelRef, Registered
from flows import prefect_artifacts
from flows.prefect_artifacts import Progress, key_of, show_drift, show_registered, show_scorecards
from medkd.drift.compare_window import DriftSettings
from medkd.drift.follow_windows import follow_windows
from medkd.registry.recipe_result import RecipeResult
from tests.drift.profiles import dated, drawn, reference
from tests.flows.recording import golden_recipe


@pytest.fixture
def made(monkeypatch):
    """Return what was asked of Prefect, and be inside of a run."""
    asked = []
    monkeypatch.setattr(prefect_artifacts, "_is_recorded", lambda: True)
    for name in ("table", "link", "markdown", "progress"):
        monkeypatch.setattr(f"prefect.artifacts.create_{name}_artifact", lambda kind=name, **given: asked.append((kind, given)) or "id")
    monkeypatch.setattr("prefect.artifacts.update_progress_artifact", lambda artifact, **given: asked.append((artifact, given)))
    return asked


@pytest.mark.parametrize(
    ("name", "key"), [("phantom-segmentation", "phantom-segmentation"), ("Über_Lunge 2", "ber-lunge-2"), ("a--b", "a-b"), ("_x_", "x")]
)
def test_a_key_is_of_lower_case_letters_digits_and_dashes(name, key):
    assert key_of(name) == key


def test_figures_are_shown_with_their_interval(made):
    card = SimpleNamespace(subject="r/kd", figures={"auc": Estimate(mean=0.81234, low=0.7, high=0.9, n=40)})
    show_scorecards([RecipeResult(golden_recipe("r"), "cohorts", scorecards=(card,))])
    ((kind, given),) = made
    assert (kind, given["key"]) == ("table", "scorecards-r")
    assert given["table"] == [{"of": "r/kd", "figure": "auc", "mean": 0.8123, "low": 0.7, "high": 0.9, "n": 40}]


def test_versions_are_shown_and_linked_where_there_is_a_page_to_go_to(made):
    models = tuple(ModelRef.model_construct(name="r-kd", version=version, role=SimpleNamespace(value="student")) for version in (1, 2))
    result = RecipeResult(golden_recipe("r"), "cohorts", registered=Registered.model_construct(models=models))
    show_registered(SimpleNamespace(tracking_uri="sqlite:///here.db"), [result])
    show_registered(SimpleNamespace(tracking_uri="http://server:5000/"), [result])
    assert [kind for kind, _ in made] == ["table", "table", "link"]
    assert made[0][1]["table"][1] == {"model": "models:/r-kd/2", "role": "student"}
    assert made[2][1]["link"] == "http://server:5000/#/models/r-kd"


def test_the_share_is_that_of_the_expected_time(made):
    progress = Progress({"students": 30.0, "evaluate": 10.0})
    for title in ("cohorts", "students", "students", "evaluate"):
        progress.finished(title)
    assert made == [
        ("progress", {"progress": 75.0, "key": "progress", "description": "share of the expected time"}),
        ("id", {"progress": 100.0}),
    ]


def test_outside_of_a_run_nothing_is_shown(monkeypatch):
    shown = []
    monkeypatch.setattr("prefect.artifacts.create_table_artifact", lambda **given: shown.append(given))
    show_scorecards([RecipeResult(golden_recipe("r"), "cohorts")])
    show_registered(SimpleNamespace(tracking_uri=""), [RecipeResult(golden_recipe("r"), "cohorts")])
    assert shown == []


def test_drift_is_shown_as_text_and_as_a_row_per_window(made):
    settings = DriftSettings(alarm_rate=0.2, window_studies=4, permutations=99)
    report = follow_windows(reference(20), dated(drawn(9, 1, images=9.0)), settings)
    show_drift(report)
    (text, given), (rows, table) = made
    assert (text, given["key"], rows, table["key"]) == ("markdown", "drift-m-1", "table", "drift-windows-m-1")
    assert "the images moved first" in given["markdown"]
    assert [row["window"] for row in table["table"]] == [1, 2]
