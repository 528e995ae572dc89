from __future__ import annotations

from pathlib import Path

import pytest

import flows
from medkd.cohorts.prepare import prepare_cohorts
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import read_recipe

RECIPES = Path(flows.__file__).parent / "recipes"
SMALL = {
    "data.teacher": 64, "data.teacher_validation": 32, "data.student": 64, "data.test": 32, "data.debiased": 32, "data.reversed": 32,
    "data.marker_pairs": 8, "seeds": [0], "teacher.fit.epochs": 1, "student.fit.epochs": 2,
    "student.network.options.channels": [4, 4, 4, 4], "teacher.network.options.channels": [4, 4, 4, 4], "teacher.gate.enforce": False,
}  # fmt: skip


@pytest.fixture(scope="session")
def recipe():
    return read_recipe(RECIPES / "phantom-classification.yaml", SMALL)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    return local_workspace(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def cohorts(workspace, recipe):
    return prepare_cohorts(workspace, recipe.cohorts(), "")
