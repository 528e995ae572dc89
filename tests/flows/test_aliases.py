"""``models:/NAME@ALIAS`` wherever a command takes a model, and the commands that move aliases, on the registry of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import flows
import medkd
from data_contracts import NetworkSpec, RegistryError, Task
from medkd.registry import mlflow_registry
from medkd.registry.publish import open_registry
from medkd.storage.workspace import local_workspace
from tests.registered import register_tiny

pytestmark = pytest.mark.xdist_group("tiny")
PICTURES = Task(kind="classification", classes=("benign", "malignant"), image_size=(16, 16), window=(0, 255))
RECIPE = Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml"
SMALL = [
    f"data.{part}={cases}" for part, cases in
    {"teacher": 32, "teacher_validation": 16, "student": 16, "test": 16, "debiased": 16, "reversed": 16, "marker_pairs": 8}.items()
]  # fmt: skip
URI = "models:/tiny-teacher@champion"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a run whose registry holds a tiny classifier with an alias."""
    folder = tmp_path_factory.mktemp("aliases") / "run"
    register_tiny(folder, PICTURES, NetworkSpec(builder="resnet", options={"channels": (2, 2, 2, 2)}))
    open_registry(local_workspace(folder)).set_alias("tiny-teacher", "champion", 1)
    return folder


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
def test_an_alias_is_a_model(here, run, places, asked, tmp_path, command):
    study, store, clinic = places
    first = {"run-study": study, "explain-study": study, "report-store": store, "evaluate-folder": clinic}.get(command, RECIPE)
    changes = [part for change in SMALL for part in ("--set", change)] if first == RECIPE else []
    option = "--knowledge" if command == "distill" else "--model"
    status, _, errors = here(command, first, option, URI, "--run", run, "--out", tmp_path / "out", "--engine", "none", *changes)
    assert status == 2
    assert errors.splitlines()[-1] == "ASKED_FOR: expected to be asked, got models:/tiny-teacher/1"


def test_a_model_that_was_loaded_by_an_alias_stays_the_version_that_it_was(run):
    assert medkd.load(URI, run=run).uri == "models:/tiny-teacher/1"


def test_an_alias_that_is_not_there_is_said_with_the_versions_that_are(here, run, tmp_path):
    status, _, errors = here("registry", "show", "models:/tiny-teacher@candidate", "--run", run)
    assert (status, "VERSION_UNKNOWN" in errors, "has the versions 1" in errors) == (2, True, True)


def test_a_version_is_shown(here, run):
    status, text, errors = here("registry", "show", URI, "--run", run, "--json")
    assert status == 0, errors
    shown = json.loads(text.splitlines()[-1])
    assert (shown["model"], shown["aliases"], shown["serving_form"]) == ("models:/tiny-teacher/1", ["champion"], True)
    assert shown["parity"]["parity_logits"] < 1e-4
    status, text, _ = here("registry", "show", URI, "--run", run)
    assert status == 0
    assert "classification into benign, malignant" in text


def test_a_candidate_is_promoted_with_its_verdict_and_a_champion_refused(here, run, tmp_path):
    name = register_tiny(run, PICTURES, NetworkSpec(builder="resnet", options={"channels": (2, 2, 2, 4)}), name="other")
    status, text, errors = here("promote", name, "--run", run, "--json")
    assert status == 0, errors
    done = json.loads(text.splitlines()[-1])
    assert (done["alias"], done["changed"], done["verdict"]["passed"]) == ("candidate", True, False)
    cost = [check["outcome"] for check in done["verdict"]["checks"] if check["theme"] == "cost"]
    assert cost == ["holds"] * 3
    status, _, errors = here("promote", name, "--to", "champion", "--run", run, "--signed-by", "A", "--role", "B", "--statement", "C")
    assert (status, errors.startswith("PROMOTION_REFUSED: expected a version that passes")) == (2, True)
    status, text, _ = here("registry", "aliases", "other-teacher", "--run", run)
    assert (status, text.strip()) == (0, "candidate  models:/other-teacher/1")
    status, _, errors = here("rollback", "other-teacher", "--run", run)
    assert (status, errors.split(":")[0]) == (2, "NOTHING_TO_ROLL_BACK")
    status, _, errors = here("promote", name, "--run", run, "--signed-by", "A")
    assert (status, "--role and --statement is missing" in errors) == (2, True)
    (tmp_path / "p.yaml").write_text("name: site\ntaks: {}\n")
    status, _, errors = here("promote", name, "--run", run, "--policy", tmp_path / "p.yaml")
    assert (status, "did you mean 'task'" in errors) == (2, True)
