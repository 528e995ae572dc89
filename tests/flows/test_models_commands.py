"""`medkd models list` and `install`: what they say, and the command that they hand on."""

from __future__ import annotations

import json
import shlex
import shutil

import pytest

from tests.registry.conftest import empty_database

__all__ = ["empty_database"]


@pytest.fixture
def run(tmp_path, empty_database):
    (tmp_path / "run").mkdir()
    shutil.copy(empty_database, tmp_path / "run" / "mlflow.db")
    return tmp_path / "run"


def test_the_list_says_what_each_model_sees_on_whose_data_and_under_which_licence(here):
    status, said, errors = here("models", "list")
    assert (status, errors) == (0, "")
    assert "outlines anatomy: background, anterior, posterior" in said
    assert "licence CC-BY-SA-4.0" in said
    assert said.rstrip().endswith("Research use only. Not a medical device.")
    models = json.loads(here("models", "list", "--json")[1])["models"]
    assert models[0]["name"] == "hippocampus"
    assert models[0]["data"]["modality"] == "MR"
    assert models[0]["training_patients"] > 50


def test_a_model_is_installed_once_and_the_next_command_is_complete(here, run):
    status, said, errors = here("models", "install", "hippocampus", "--run", run)
    assert status == 0, errors
    lines = said.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["models:/hippocampus-teacher/1", "models:/hippocampus-kd_explanation/1"]
    assert lines[-1].startswith("Research use only. Not a medical device.")
    following = shlex.split(next(line for line in lines if line.strip().startswith("next: ")).partition("next: ")[2])
    assert following[-7:] == ["STUDY", "--model", "models:/hippocampus-kd_explanation/1", "--out", "my-report", "--run", str(run)]
    (again,) = json.loads(here("models", "install", "hippocampus", "--run", run, "--json")[1])["installed"]
    assert again["uri"] == "models:/hippocampus-kd_explanation/1"
    assert [version["existed"] for version in again["versions"]] == [True, True]
    status, shown, _ = here("registry", "show", again["uri"], "--run", run)
    assert "Medical Segmentation Decathlon" in shown
    assert "CC-BY-SA-4.0" in shown


def test_a_name_that_is_none_leaves_no_folder_behind(here, tmp_path):
    status, _, errors = here("models", "install", "hippocampos", "--run", tmp_path / "new")
    assert (status, (tmp_path / "new").exists()) == (2, False)
    assert errors.startswith("RELEASED_UNKNOWN: expected one of the released models")
