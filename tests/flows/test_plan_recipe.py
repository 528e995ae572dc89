"""``medkd plan-recipe`` writes a recipe that checks, and that runs."""

from __future__ import annotations

import json

import pytest

from tests.audit.conftest import clinic  # noqa: F401 - a fixture


def test_the_recipe_of_a_folder_checks(here, clinic, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("MEDKD_DATA", str(clinic.parent))
    status, said, errors = here("plan-recipe", clinic, "--out", tmp_path / "r.yaml", "--minutes", 1, "--json")
    assert status == 0, errors
    assert json.loads(said)["image_size"] == [48, 48]
    status, said, errors = here("recipe", "check", tmp_path / "r.yaml")
    assert (status, errors) == (0, "")
    assert "is right: a teacher and 6 students" in said


def test_a_file_that_exists_is_left_and_a_question_is_one_sentence(here, clinic, tmp_path):  # noqa: F811
    (tmp_path / "r.yaml").write_text("mine")
    status, _, errors = here("plan-recipe", clinic, "--out", tmp_path / "r.yaml")
    assert (status, errors.split(":")[0]) == (2, "OUT_EXISTS")
    assert (tmp_path / "r.yaml").read_text() == "mine"
    status, _, errors = here("plan-recipe", clinic, "--out", tmp_path / "s.yaml", "--column", "patient=gone")
    assert (status, errors.split(":")[0]) == (2, "TABLE_COLUMN")


@pytest.mark.extended
def test_the_recipe_runs(here, clinic, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("MEDKD_DATA", str(clinic.parent))
    assert here("plan-recipe", clinic, "--out", tmp_path / "r.yaml", "--minutes", 1)[0] == 0
    small = ("teacher.fit.epochs=1", "student.fit.epochs=1", "seeds=[0]", "teacher.gate.enforce=false", "explain.cases=2")
    options = [word for one in small for word in ("--set", one)]
    status, _, errors = here("run", tmp_path / "r.yaml", "--out", tmp_path / "run", *options, "--json")
    assert status == 0, errors
