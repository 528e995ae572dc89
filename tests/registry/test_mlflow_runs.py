"""Runs in MLflow are found again and never made twice, and whatever is sent may be sent again."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.tracking import MlflowClient

from data_contracts import RegistryError
from medkd.registry.interface import LoggedRun
from medkd.registry.mlflow_runs import MlflowRuns, curves, reached
from medkd.registry.recipe_run import RECIPE_RUN, RUN_FOLDER, Dataset, RecipeRun, TrackedTraining


@pytest.fixture(scope="module")
def client(tmp_path_factory, empty_database):
    folder = tmp_path_factory.mktemp("runs")
    shutil.copy(empty_database, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.fixture
def runs(client, tmp_path):
    return MlflowRuns(client, (tmp_path / "artifacts").as_uri())


@pytest.fixture
def recipe_run(request):
    """Return a run whose experiment is this test's own: all tests share a database, whose opening takes longer than they do."""
    name = request.node.name
    return RecipeRun(name, f"key-{name}", {"recipe": name}, {RECIPE_RUN: f"key-{name}", RUN_FOLDER: "f", "medkd.kind": "recipe"})


@pytest.fixture
def training(recipe_run, tmp_path):
    tags = {RECIPE_RUN: recipe_run.key, RUN_FOLDER: "f"}
    return TrackedTraining(
        recipe_run, "kd-0", tmp_path / "metrics.jsonl", {"epochs": "3"}, tags, (Dataset("r test", "a" * 36, "evaluation"),)
    )


def found(client, runs, recipe_run):
    return client.search_runs([runs.experiment(recipe_run.recipe)])


def test_a_training_lies_below_its_recipe_and_is_made_once(client, runs, recipe_run, training):
    run_id = runs.training(training)
    assert MlflowRuns(client, None).training(training) == run_id
    run = client.get_run(run_id)
    assert run.data.tags["mlflow.parentRunId"] == runs.recipe(recipe_run)
    assert run.data.params == {"epochs": "3"}
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["r test"]
    assert len(found(client, runs, recipe_run)) == 2


def test_a_run_of_another_version_is_left_alone(client, runs, training):
    first = runs.training(training)
    runs.set_tags(first, {"digest": "a"})
    assert runs.training(training, unless=("digest", "a")) == first
    assert runs.training(training, unless=("digest", "b")) != first


def test_a_run_that_was_cut_short_goes_on_and_one_that_is_over_stays_so(client, runs, training):
    run_id = runs.training(training)
    for before, after in (("KILLED", "RUNNING"), ("FINISHED", "FINISHED")):
        client.set_terminated(run_id, status=before)
        assert runs.training(training) == run_id
        assert client.get_run(run_id).info.status == after


def test_another_recipe_of_the_folder_ends_what_nobody_goes_on_with(client, runs, recipe_run):
    first = runs.recipe(recipe_run)
    second = runs.recipe(replace(recipe_run, key="other", tags={**recipe_run.tags, RECIPE_RUN: "other"}))
    assert [client.get_run(run_id).info.status for run_id in (first, second)] == ["KILLED", "RUNNING"]


def test_a_history_that_is_sent_twice_is_there_once(client, runs, training):
    run_id, lines = runs.training(training), [{"epoch": epoch, "unix_time": 1000.5 + epoch, "loss": 1.0 / epoch} for epoch in (1, 2)]
    for _ in range(2):
        runs.log_history(run_id, lines)
    runs.complete_history(run_id, [*lines, {"epoch": 3, "unix_time": 1003.5, "loss": 0.1}])
    points = client.get_metric_history(run_id, "loss")
    assert [(one.step, one.value, one.timestamp) for one in points] == [(1, 1.0, 1001500), (2, 0.5, 1002500), (3, 0.1, 1003500)]


def test_a_recipe_that_is_finished_has_figures_note_and_nothing_at_work(client, runs, recipe_run, training, tmp_path):
    runs.training(training)
    (tmp_path / "page.html").write_text("page")
    for _ in range(2):
        runs.finish_recipe(recipe_run, LoggedRun("r", {"kd/dice": 0.8}, files=(tmp_path / "page.html",)), "note")
    states = {run.info.run_name: run.info.status for run in found(client, runs, recipe_run)}
    assert states == {recipe_run.recipe: "FINISHED", "kd-0": "KILLED"}
    whole = client.get_run(runs.recipe(recipe_run))
    assert [one.value for one in client.get_metric_history(whole.info.run_id, "kd/dice")] == [0.8]
    assert [one.path for one in client.list_artifacts(whole.info.run_id)] == ["page.html"]
    assert client.get_experiment_by_name(recipe_run.recipe).tags["mlflow.note.content"] == "note"


def test_abandoning_what_was_never_begun_makes_nothing(client, runs, recipe_run):
    runs.abandon_recipe(recipe_run, "FAILED")
    assert client.get_experiment_by_name(recipe_run.recipe) is None


def test_lines_without_a_time_get_that_of_the_moment():
    assert [(one.key, one.value, one.timestamp, one.step) for one in curves([{"epoch": 2, "loss": 0.5, "rate": 1}], 77)] == [
        ("loss", 0.5, 77, 2), ("rate", 1.0, 77, 2)
    ]  # fmt: skip


class Failing:
    def __init__(self, uri, error):
        self.uri, self.error = uri, error

    @reached
    def ask(self):
        raise self.error


@pytest.mark.parametrize(
    ("uri", "code"), [("http://user:secret@server:5000", "REGISTRY_UNREACHABLE"), ("sqlite:///mlflow.db", "REGISTRY_UNREADABLE")]
)
def test_what_a_broken_server_says_is_one_sentence_without_secrets(uri, code):
    with pytest.raises(RegistryError) as caught:
        Failing(uri, MlflowException("one\ntwo")).ask()
    assert caught.value.code == code
    assert "one two" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_was_asked_wrongly_is_said_as_mlflow_says_it():
    with pytest.raises(MlflowException, match="no such run"):
        Failing("http://server", MlflowException("no such run", error_code=INVALID_PARAMETER_VALUE)).ask()
