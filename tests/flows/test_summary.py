"""What a run says at its end; an interval is over patients: one patient has none, and that is said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from data_contracts import Comparison, FolderEvaluation, KnowledgeRef, ModelRef, Ref, Registered, Scorecard, read_record
from flows.pipeline import PipelineResult
from flows.summary import (
    folder_json,
    folder_tables,
    knowledge_summary,
    knowledge_text,
    run_summary,
    run_tables,
    scorecard_summary,
    students_summary,
    students_text,
)  # fmt: skip
from medkd.evaluation.score_folder import NO_INTERVAL
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace
from tests.flows.recording import golden_recipe

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "folder_evaluation_1.json"


@pytest.mark.parametrize("n", [1, 2])
def test_one_patient_has_no_interval(n):
    kept = read_record(GOLDEN.read_bytes(), FolderEvaluation)
    metrics = {name: figure.model_copy(update={"n": n}) for name, figure in kept.metrics.items()}
    changes = {"n": n, "metrics": metrics, "teacher_metrics": {}, "subgroups": {}, **({"interval": NO_INTERVAL} if n == 1 else {})}
    evaluation = kept.model_copy(update=changes)
    text, said = folder_tables(evaluation), folder_json(evaluation)
    figure = next(iter(said["metrics"].values()))
    assert ("[" in text.split("\n\n")[0]) is (n > 1)
    assert ("No interval" in text) is (n == 1)
    assert (figure["low"] is None) is (n == 1)
    assert figure["mean"] is not None


@pytest.fixture
def card():
    return read_record((GOLDEN.with_name("scorecard_1.json")).read_bytes(), Scorecard)


def test_a_card_says_means_bounds_and_how_far_seeds_differ(card):
    several = card.model_copy(update={"seeds": (0, 1, 2), "per_seed": {"auc": (0.7, None, 0.9)}})
    said = scorecard_summary(several)
    assert (said["auc"], said["n"], said["interval"]["auc"]) == (0.8, {"auc": 100}, [0.7, 0.9])
    assert said["seed_deviation"]["auc"] == pytest.approx(0.1414, abs=1e-4)
    assert scorecard_summary(card)["seed_deviation"] == {}


def test_a_run_says_its_models_cards_and_pages_relative_to_the_project(card, tmp_path):
    model = read_record(GOLDEN.with_name("model_1.json").read_bytes(), ModelRef)
    comparison = Comparison(arm="kd", baseline="alone", figures={"auc": card.figures["auc"]})
    result = RecipeResult(
        golden_recipe(), None, scorecards=(card,), comparisons=(comparison,), bundles=(SimpleNamespace(explanations=(1, 2)),),
        registered=SimpleNamespace(models=(model,)),
    )  # fmt: skip
    workspace = Workspace(root=tmp_path / "run", tracking_uri="uri")
    page = Ref(store="run", key="reports/a/report.html", sha256="0" * 64)
    done = PipelineResult((result,), None, SimpleNamespace(pages=(page,), pictures=()))
    said = run_summary(done, workspace, engine="none", seconds=1.26, project=tmp_path)
    assert (said["seconds"], said["engine"], said["explanations"], said["ingest"]) == (1.3, "none", 2, {})
    assert said["models"] == [{"name": "phantom-kd", "version": 2, "digest": model.manifest_digest, "role": "student"}]
    assert list(said["scorecards"]) == ["cls.kd"]
    assert list(said["comparisons"]) == ["cls.kd - alone"]
    assert said["reports"] == ["run/store/reports/a/report.html"]
    tables = run_tables(done)
    assert "AUC" in tables
    assert "+.800 [+.700, +.900]" in tables


def test_knowledge_and_students_are_said_for_machines_and_for_people(card):
    model = read_record(GOLDEN.with_name("model_1.json").read_bytes(), ModelRef)
    knowledge = read_record(GOLDEN.with_name("knowledge_2.json").read_bytes(), KnowledgeRef)
    summary = knowledge_summary(model, knowledge)
    assert summary["stores"] == ["logits", "features of last", "maps by saliency"]
    text = knowledge_text(summary)
    assert "the logits 1/64 of float32" in text
    assert "KL 1.0e-04 per voxel, the same answer in 99.00%" in text
    students = students_summary(Registered(models=(model, model.model_copy(update={"teacher": None}))), (card,))
    said = students_text(students)
    assert "models:/phantom-kd/2  learned from phantom-teacher/1@" in said
    assert "learned from labels" in said
    assert "auc 0.800" in said
