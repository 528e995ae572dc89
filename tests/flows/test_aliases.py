"""``models:/NAME@ALIAS`` wherever a command takes a model, on the registry of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import flows
import medkd
from data_contracts import RegistryError
from medkd.registry import mlflow_registry

pytestmark = pytest.mark.xdist_group("tiny")
RECIPE = Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml"
SMALL = [
    f"data.{part}={cases}" for part, cases in
    {"teacher": 32, "teacher_validation": 16, "student": 16, "test": 16, "debiased": 16, "reversed": 16, "marker_pairs": 8}.items()
]  # fmt: skip
URI = "models:/tiny-teacher@champion"


@pytest.fixture
def asked(monkeypatch):
    """Let a registry end every command with the version that it was asked for, once it found it: what follows is tested elsewhere."""
    own = mlflow_registry.MlflowRegistry.fetch

    def fetch(self, uri):
        raise RegistryError("ASKED_FOR", f"expected to be asked, got {own(self, uri)[0].uri}")

    monkeypatch.setattr(mlflow_registry.MlflowRegistry, "fetch", fetch)
    monkeypatch.setenv("MEDKD_WORKERS", "0")


@pytest.fixture(scope="module")
def places(tmp_path_factory, phantom):
    """Return a study, a store and a labelled folder."""
    _, _, studies = phantom
    root = tmp_path_factory.mktemp("asked")
    medkd.ingest(studies[0].folder, root / "store")
    (root / "clinic" / "images").mkdir(parents=True)
    for number in range(4):
        Image.fromarray(np.full((16, 16), 40 * number, np.uint8)).save(root / "clinic" / "images" / f"y{number}.png")
    rows = [f"y{number},p{number},{'benign' if number % 2 else 'malignant'}" for number in range(4)]
    (root / "clinic" / "cases.csv").write_text("\n".join(["file,patient,finding", *rows]))
    return studies[0].folder, root / "store", root / "clinic"


@pytest.mark.parametrize(
    "command", ["run-study", "explain-study", "explain-model", "inspect-model", "report-store", "evaluate-folder", "distill"]
)
def test_an_alias_is_a_model(here, tiny_run, places, asked, tmp_path, command):
    study, store, clinic = places
    first = {"run-study": study, "explain-study": study, "report-store": store, "evaluate-folder": clinic}.get(command, RECIPE)
    changes = [part for change in SMALL for part in ("--set", change)] if first == RECIPE else []
    option = "--knowledge" if command == "distill" else "--model"
    status, _, errors = here(command, first, option, URI, "--run", tiny_run, "--out", tmp_path / "out", "--engine", "none", *changes)
    assert status == 2
    assert errors.splitlines()[-1] == "ASKED_FOR: expected to be asked, got models:/tiny-teacher/1"


def test_a_model_that_was_loaded_by_an_alias_stays_the_version_that_it_was(tiny_run):
    assert medkd.load(URI, run=tiny_run).uri == "models:/tiny-teacher/1"
