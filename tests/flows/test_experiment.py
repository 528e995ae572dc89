"""A whole small experiment: nothing is learnt in it, everything is run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import flows
from data_contracts import RecipeError, Scoreboard, load_record
from flows.experiment import experiment
from medkd.evaluation import bootstrap
from medkd.experiment import trials
from medkd.experiment.validate_student import StudentValidator, validation_subset
from medkd.experiment.write_scoreboard import scoreboard_text
from medkd.models._load import load_network
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import read_recipe
from tests.registry.memory_registry import MemoryRegistry

pytestmark = pytest.mark.xdist_group("experiment")
RECIPES = Path(flows.__file__).parent / "recipes"
KEPT = ("alone", "kd", "hints", "kd_explanation")
SMALL = {
    "data.teacher": 32, "data.teacher_validation": 16, "data.student": 32, "data.student_validation": 16, "data.test": 16,
    "data.debiased": 20, "data.reversed": 16, "data.marker_pairs": 8, "seeds": [0, 1], "teacher.fit.epochs": 1, "student.fit.epochs": 1,
    "student.fit.batch_size": 16, "teacher.gate.enforce": False, "teacher.network.options.channels": [4, 4, 4, 4],
    "student.network.options.channels": [4, 4, 4, 4],
}  # fmt: skip
PLAN = {
    "primary": "auc_debiased",
    "search_seeds": [100],
    "search": {"kd": [{"terms.0.options.temperature": 2.0}, {}], "kd_explanation": [{"terms.1.weight": 3.0}, {}]},
    "controlled": ["kd_explanation"],
    "plateau_epochs": 2,
    "null_repetitions": 1,
    "gap": {"arm": "kd", "rounds": 1, "epochs": 1},
    "pareto": "kd_explanation",
    "conditions": {
        "biased": {"overrides": {"data.teacher_marker_rates": [0.05, 0.95]}, "arms": ["kd"], "description": "A biased teacher."}
    },
}
NAMES = [
    "teacher", "alone", "kd", "hints", "kd_explanation",
    *(f"kd_explanation__{c}" for c in ("another_patient", "centre_gaussian", "random_teacher", "shuffled")),
]  # fmt: skip


def small_recipe(**plan):
    whole = read_recipe(RECIPES / "shortcut.yaml")
    arms = {name: json.loads(whole.arms[name].canonical_json()) for name in KEPT}
    return read_recipe(RECIPES / "shortcut.yaml", {**SMALL, "arms": arms, "experiment": {**PLAN, **plan}})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workspace = local_workspace(tmp_path_factory.mktemp("experiment"))
    with pytest.MonkeyPatch.context() as patch:
        # Intervals are tested where they are made; here they only have to be there.
        patch.setattr(bootstrap, "RESAMPLES", 40)
        patch.setattr(bootstrap, "CROSSED_RESAMPLES", 20)
        patch.setattr(trials, "FAITHFUL_CASES", 4)
        yield workspace, experiment(workspace, small_recipe())


def started(workspace):
    return (workspace.root / "stages" / "begun.log").read_text().splitlines()


@pytest.mark.extended
def test_every_arm_control_reading_and_condition_is_scored(run):
    _, board = run
    readings = [f"{name}@plateau" for name in NAMES if name != "teacher"]
    assert set(board.arms) == {*NAMES, *readings, "kd_gap", "kd_longer", "kd@biased", "teacher@biased"}
    wanted = {
        "auc_debiased", "auc_same_bias", "auc_reversed", "ece", "brier", "agreement", "relevance_mass_accuracy", "pointing", "marker_effect",
        "answers_as_teacher", "copies_mistakes", "deletion", "insertion", "model_parameter_randomisation", "parameters", "latency_ms", "train_seconds",
    }  # fmt: skip
    assert all(wanted <= set(figures) for figures in board.arms.values())
    assert board.arms["kd"]["auc_debiased"].n == 20
    assert {c.b for c in board.comparisons if c.a == "kd_explanation"} == {"alone", "kd", *NAMES[5:]}
    assert all(c.p <= c.p_holm for c in board.comparisons)


@pytest.mark.extended
def test_the_search_keeps_to_its_budget_and_a_condition_takes_over_what_was_chosen(run):
    _, board = run
    assert {arm: len(search.configurations) for arm, search in board.searched.items()} == {"kd": 2, "kd_explanation": 2}
    assert all(search.by == "agreement" for search in board.searched.values())
    assert board.gates.keys() == {"base", "biased"}
    assert board.conditions == {"biased": "A biased teacher."}


@pytest.mark.extended
def test_verdicts_cover_every_control_at_every_reading(run):
    _, board = run
    assert {(v.arm, v.control.value) for v in board.controls} == {
        (f"kd_explanation{reading}", control.partition("__")[2]) for reading in ("", "@plateau") for control in NAMES[5:]
    }
    assert len(board.nulls) == 1
    assert set(board.epoch_selections) == set(NAMES) - {"teacher"}
    assert board.gap is not None
    assert [len(course.rounds) for course in (*board.gap.weighted, *board.gap.plain)] == [2, 2, 2, 2]


@pytest.mark.extended
def test_what_is_written_says_the_same_to_machines_and_people(run):
    workspace, board = run
    assert load_record(workspace.root / "scoreboard.json", Scoreboard) == board
    payload = json.loads((workspace.root / "scoreboard.json").read_text())
    assert {"arms", "comparisons", "harmful", "searched"} <= set(payload)
    assert {"a", "b", "metric", "difference", "low", "high", "p_holm"} <= set(payload["comparisons"][0])
    rows = list(csv.DictReader((workspace.root / "scoreboard.csv").read_text().splitlines()))
    assert len(rows) == sum(len(figures) for figures in board.arms.values())
    text = (workspace.root / "scoreboard.md").read_text()
    assert all(f"| {arm} |" in text for arm in board.arms)
    assert "Research use only".lower() in text.lower()
    assert "control shuffled" in scoreboard_text(board)
    assert (workspace.root / "scoreboard.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.extended
def test_it_is_shown_in_mlflow_once_with_a_run_per_arm_and_its_curve(run):
    from mlflow.tracking import MlflowClient

    workspace, board = run
    client = MlflowClient(tracking_uri=workspace.tracking_uri)
    found = client.search_runs([client.get_experiment_by_name("medkd").experiment_id], max_results=200)
    (top,) = [r for r in found if r.data.tags.get("medkd.kind") == "experiment"]
    below = [r for r in found if r.data.tags.get("mlflow.parentRunId") == top.info.run_id]
    assert {r.info.run_name for r in below} == {f"shortcut/{arm}" for arm in board.arms}
    assert {r.info.status for r in found} == {"FINISHED"}
    assert {a.path for a in client.list_artifacts(top.info.run_id)} == {f"scoreboard.{kind}" for kind in ("json", "md", "csv", "png")}
    (kd,) = [r for r in below if r.info.run_name == "shortcut/kd@plateau"]
    assert kd.data.metrics["auc_debiased"] == pytest.approx(board.arms["kd@plateau"]["auc_debiased"].mean)
    assert [m.step for m in client.get_metric_history(kd.info.run_id, "oracle")] == [1, 2]


@pytest.mark.extended
def test_run_again_it_trains_nothing_and_says_the_same(run, here):
    workspace, board = run
    before = started(workspace)
    assert experiment(workspace, small_recipe()) == board
    assert started(workspace) == before


@pytest.mark.extended
def test_another_arm_and_another_seed_train_themselves_and_no_other(run):
    workspace, _ = run
    recipe = small_recipe()
    attention = read_recipe(RECIPES / "shortcut.yaml").arms["attention"]
    before = started(workspace)
    plan = recipe.experiment.model_copy(update={"null_repetitions": 0, "gap": None, "conditions": {}})
    more = {"arms": {**recipe.arms, "attention": attention}, "seeds": (0, 1, 2), "experiment": plan}
    board = experiment(workspace, recipe.model_copy(update=more))
    assert board.arms["attention"]["auc_debiased"].n == 20
    started_now = [line.partition("-")[0] for line in started(workspace)[len(before) :]]
    # Two seeds of the new arm and the third of all five arms and four controls, briefly and for long.
    assert started_now.count("distill") == started_now.count("train_with_snapshots") == 2 + 5 + 4
    assert "train_teacher" not in started_now


@pytest.mark.extended
def test_a_teacher_agrees_with_itself_and_the_judge_sees_what_the_test_sees(run):
    workspace, board = run
    from data_contracts import Checkpoint, CohortSet, SelectionCriterion

    teacher = load_record(next((workspace.root / "stages").glob("train_teacher-*.json")), Checkpoint)
    cohorts = load_record(next((workspace.root / "stages").glob("prepare_cohorts-*.json")), CohortSet)
    judge = StudentValidator(workspace, cohorts, teacher, SelectionCriterion(primary="auc_debiased", select="response"))
    seen = judge.look(load_network(workspace, teacher), arm="teacher", seed=0, seconds=0.0)
    assert (seen.agreement, seen.response, seen.gap) == pytest.approx((1.0, 1.0, 0.0), abs=1e-5)
    known = [board.arms[name]["auc_debiased"].mean for name in ("teacher", "teacher@biased")]
    assert min(abs(seen.oracle - value) for value in known) < 1e-6


@pytest.mark.extended
def test_choosing_on_the_test_cases_is_refused(run):
    from data_contracts import CohortSet

    workspace, _ = run
    cohorts = load_record(next((workspace.root / "stages").glob("prepare_cohorts-*.json")), CohortSet)
    assert validation_subset(cohorts) == "student_validation"
    uses = {"test": cohorts.uses["test"], "teacher_validation": cohorts.uses["test"]}
    with pytest.raises(RecipeError) as caught:
        validation_subset(cohorts.model_copy(update={"uses": uses}))
    assert caught.value.code == "EXPERIMENT_VALIDATION"


def test_bad_recipes_are_one_sentence_and_exit_status_two(here, tmp_path):
    status, _, error = here("experiment", RECIPES / "phantom-classification.yaml", "--out", tmp_path / "x")
    assert status == 2
    assert error.startswith("EXPERIMENT_PLAN: expected a field experiment")
    status, _, error = here("experiment", RECIPES / "shortcut.yaml", "--out", tmp_path / "x", "--set", "experiment.controlled=[]")
    assert (status, error.partition(":")[0]) == (2, "EXPERIMENT_CONTROLS")
    status, _, error = here("experiment", RECIPES / "shortcut.yaml", "--out", tmp_path / "x", "--set", "experiment.primary=ece")
    assert status == 2
    assert "expected a primary figure among" in error


@pytest.mark.extended
def test_a_registry_is_told_once(run):
    from medkd.experiment.write_scoreboard import write_scoreboard

    workspace, board = run
    registry = MemoryRegistry()
    for _ in range(2):
        write_scoreboard(workspace, board, registry)
    assert list(registry.experiments) == [board.digest()]


@pytest.mark.extended
def test_arms_of_several_teachers_are_trained_after_those_that_teach_them(tmp_path, monkeypatch):
    """A student born again of a variant's own student, a mixture that validation weighs, answers out of fold: all under a search and a null repetition."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)
    monkeypatch.setattr(bootstrap, "CROSSED_RESAMPLES", 10)
    monkeypatch.setattr(trials, "FAITHFUL_CASES", 2)
    whole = read_recipe(RECIPES / "shortcut.yaml", SMALL)
    teacher = json.loads(whole.teacher.canonical_json()) | {"terms": [{"loss": "cross_entropy"}]}
    terms = [{"loss": "cross_entropy"}, {"loss": "logit_kd"}]
    arms = {
        "alone": {"terms": terms[:1]},
        "again": {"terms": terms, "teachers": ["self"]},
        "mixture": {"terms": terms, "teachers": ["teacher", "cv"], "weighting": "validation", "out_of_fold": True},
    }
    plan = {
        "primary": "auc_debiased",
        "search_seeds": [100],
        "search": {"again": [{"terms.1.weight": 2.0}, {}]},
        "baselines": ["alone", "again"],
    }
    fields = {**SMALL, "seeds": [0], "arms": arms, "teachers": {"cv": teacher | {"folds": 2}}, "experiment": plan}
    workspace = local_workspace(tmp_path)
    board = experiment(workspace, read_recipe(RECIPES / "shortcut.yaml", fields))
    assert {"teacher", "alone", "again", "mixture"} <= set(board.arms)
    with pytest.raises(RecipeError, match="'again' asks others"):
        experiment(workspace, read_recipe(RECIPES / "shortcut.yaml", {**fields, "experiment": plan | {"plateau_epochs": 2}}))
