"""Every command with what people and strangers may hand it: one sentence with a code and status 2, or an answer; never a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

import flows
from flows.commands import app
from tests.hostile import RECIPE_COMMANDS, THINGS, write_things

pytestmark = pytest.mark.xdist_group("hostile")
RECIPES = Path(flows.__file__).parent / "recipes"
PHANTOM = RECIPES / "phantom-classification.yaml"


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    return write_things(tmp_path_factory.mktemp("things"))


@pytest.fixture
def said(here, tmp_path, monkeypatch):
    """Return a caller that asserts the property and returns the last line of stderr, and of stdout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDKD_DATA", str(tmp_path))
    monkeypatch.setenv("MEDKD_WORKERS", "0")

    def call(*arguments):
        status, out, errors = here(*arguments)
        assert "Traceback" not in out + errors, errors
        assert "UNEXPECTED" not in errors, errors
        assert status in (0, 2), (status, errors)
        if status == 2:
            last = errors.strip().splitlines()[-1]
            assert re.match(r"[A-Z][A-Z0-9_]+: expected .", last) or "Usage" in errors or "Error" in errors, errors
        return status, (errors.strip().splitlines() or [""])[-1], out

    return call


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("command", RECIPE_COMMANDS)
def test_what_is_no_recipe(said, things, command, thing, registry):
    more = (*RECIPE_COMMANDS[command], *(("--tracking-uri", registry) if command in ("distill", "inspect-model", "explain-model") else ()))
    status, sentence, _ = said(command, things / thing, *more)
    assert status == 2
    assert sentence.startswith(("RECIPE_MISSING", "RECIPE_UNREADABLE", "RECIPE_INVALID")), sentence


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("command", ["check", "show"])
def test_what_is_no_recipe_is_no_recipe_to_look_at(said, things, command, thing):
    status, sentence, _ = said("recipe", command, things / thing)
    assert status == 2
    assert sentence.startswith(("RECIPE_MISSING", "RECIPE_UNREADABLE", "RECIPE_INVALID")), sentence
    if thing not in ("missing", "under/file"):  # where there is nothing, a recipe is written
        assert said("recipe", "new", "images", things / thing)[1].startswith("OUT_EXISTS")
    if thing not in ("missing", "under/file", "folder", "dangling"):
        assert said("recipe", "new", "images", things / thing / "under")[0] == 2


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (["x={"], "RECIPE_OVERRIDE"), (["student.fit.epochs={"], "RECIPE_OVERRIDE"), (["x"], "RECIPE_OVERRIDE"), (["=1"], "RECIPE_INVALID"),
        (["arms.kd.terms.²=1"], "RECIPE_OVERRIDE"), (["arms.kd.terms.99=1"], "RECIPE_OVERRIDE"), (["arms=3"], "RECIPE_INVALID"),
        (["name=" + "x" * 5000], "RECIPE_INVALID"), (["name='../x'"], "RECIPE_INVALID"), (["seeds=[1e400]"], "RECIPE_INVALID"),
        (["seeds=" + "[" * 500], "RECIPE_OVERRIDE"), (["student.fit.epochs=.nan"], "RECIPE_INVALID"), (["data=null"], "RECIPE_INVALID"),
        (["student.network.builder=../../etc/passwd"], None), (["task.image_size=[0, 0]"], None),
        (["student.network.options.channels=[1000000, 1000000]"], None), (["task.image_size=[4000000, 4000000]"], "MEMORY_TOO_SMALL"),
        (["student.network.options.channels=[-1, 2, 3, 4]"], None), (["data.teacher=1000000000000"], "MEMORY_TOO_SMALL"),
        (["data={kind: dicom, path: /etc}"], "RECIPE_PATH"), (["data={kind: dicom, path: ../..}"], "RECIPE_PATH"),
        (["data={kind: image_folder, path: x, table: ../../t.csv}"], "RECIPE_PATH"), (["data={kind: volume_folder, path: 'C:\\x', patient_pattern: odd-even}"], "RECIPE_PATH"),
        (["data={kind: image_folder, path: nowhere}"], "SOURCE_MISSING"),
    ],
)  # fmt: skip
def test_overrides_that_make_no_recipe(said, values, code):
    status, sentence, _ = said("run", PHANTOM, "--engine", "none", *(part for value in values for part in ("--set", value)))
    assert status == 2
    assert code is None or sentence.startswith(f"{code}:"), sentence


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Return the URI of a registry without models."""
    from medkd.registry.mlflow_registry import MlflowRegistry

    folder = tmp_path_factory.mktemp("registry")
    MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "artifacts")
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.mark.parametrize("model", ["", "x", "models:/", "models:/x", "models:/x/latest", "models:/x/²", "models:/x/1", "models:/x'y/1", "models:/x/99999999999999999999", "models:/" + "x" * 3000 + "/1", "models:/名/1", "models:/../1"])  # fmt: skip
@pytest.mark.parametrize("command", ["evaluate-folder", "run-study", "explain-study"])
def test_models_that_do_not_exist(said, things, registry, command, model):
    status, sentence, _ = said(command, things / "folder", "--model", model, "--out", "out", "--tracking-uri", registry)
    assert status == 2
    assert sentence.split(":")[0] in {"MODEL_URI", "VERSION_UNKNOWN", "NO_VOLUME"}, sentence


@pytest.mark.parametrize("uri", ["sqlite:///{junk}", "sqlite:///{folder}", "sqlite:///{missing}/x.db", "http://127.0.0.1:9", "http://", "nonsense://x", "sqlite:nonsense", "postgresql://x/y", "x" * 3000])  # fmt: skip
def test_registries_that_cannot_be_used(said, things, uri):
    filled = uri.format(junk=things / "junk", folder=things / "folder", missing=things / "missing") if "{" in uri else uri
    status, sentence, _ = said("evaluate-folder", things / "folder", "--model", "models:/x/1", "--out", "out", "--tracking-uri", filled)
    assert status == 2
    assert sentence.startswith("REGISTRY_"), sentence


@pytest.mark.parametrize("thing", THINGS)
def test_sources_that_are_no_dicom(said, things, thing, registry):
    exists = thing not in ("missing", "dangling", "under/file")
    if thing != "huge":  # a quarter of a gigabyte is read, which is right, and no quick test
        assert said("ingest", things / thing, "--out", "store")[0] == (0 if exists else 2)
        assert said("deidentify", things / thing, "--out", "share")[0] == (0 if exists else 2)
        given = ("--model", "models:/x/1", "--tracking-uri", registry)
        assert said("run-study", things / thing, "--out", "study", *given)[0] == 2
        assert said("explain-study", things / thing, "--out", "explained", *given)[0] == 2
    assert (
        said("ingest", things / "folder", "--out", "other", "--policy", things / thing)[1].startswith("POLICY_UNREADABLE")
        or thing == "empty"
    )


@pytest.mark.parametrize("thing", THINGS)
def test_what_is_no_set_and_no_inbox(said, things, thing):
    pytest.importorskip("pynetdicom", reason="pynetdicom is not installed; pip install '.[network]'")
    if thing != "huge":
        assert said("send", things / thing, "--to", "A@127.0.0.1:9")[0] == 2
    assert said("receive", "--out", things / thing / "under", "--port", "x")[0] == 2
    assert said("receive", "--out", things / thing, "--port", "0", "--tls", things / thing)[0] == 2
    if thing not in ("missing", "folder", "dangling", "under/file"):  # an inbox is made where there is nothing
        assert said("receive", "--out", things / thing, "--port", "0")[0] == 2


@pytest.mark.parametrize("thing", THINGS)
def test_stores_and_runs_that_are_none(said, things, thing, registry):
    database = Path(registry.removeprefix("sqlite:///"))
    assert said("report-store", things / thing, "--run", database.parent)[0] == 2
    assert said("report-store", things / "folder", "--run", things / thing)[0] == 2
    assert said("replay", "abcdef", "--in", things / thing, "--tracking-uri", registry)[0] == 2
    assert said("evaluate-folder", things / thing, "--model", "models:/x/1", "--out", "out", "--tracking-uri", registry)[0] == 2


@pytest.mark.parametrize("thing", THINGS)
def test_what_is_no_feedback_log(said, things, thing):
    given = ("--engine", "none", "--out", "run", "--feedback")
    assert said("redistill", PHANTOM, *given, things / thing)[0] == 2
    assert said("redistill", PHANTOM, *given, things / "folder", "--reports", things / thing)[0] == 2


@pytest.mark.parametrize("thing", THINGS)
def test_what_is_asked_of_whoever_keeps_it_running(said, things, thing, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert said("status", "--run", things / thing)[0] == 2
    assert said("ui", "--run", things / thing)[0] == 2
    assert said("deploy", "--file", things / thing)[0] == 2
    assert said("check-loss", things / thing)[1].startswith("LOSS_FILE")
    assert said("nifti-to-dicom", things / thing, "--modality", "MR", "--out", "out")[0] == 2


@pytest.mark.parametrize("thing", ["empty", "junk", "huge", "empty/under"])
def test_outputs_that_are_files(said, things, thing):
    place = things / thing
    for command in (
        ("demo", "--size", "smoke"),
        ("phantom", "--studies", 1),
        ("phantom", "--case", "regular"),
        ("benchmark-explainers", "--cases", 2),
    ):
        assert said(*command, "--out", place)[0] == 2
    for command in (("ingest", things / "folder"), ("deidentify", things / "folder"), ("run", PHANTOM), ("experiment", PHANTOM)):
        assert said(*command, "--out", place)[0] == 2


@pytest.mark.parametrize("arguments", [("list", "x"), ("phantom", "--case", "../x", "--out", "o"), ("phantom", "--case", "regular", "--variant", "名", "--out", "o"), ("phantom", "--studies", "1e9", "--out", "o"), ("benchmark-explainers", "--cases", "-1"), ("replay", ""), ("replay", "../../x"), ("explain-study", "y", PHANTOM, "--model", "x"), ("evaluate-folder", "x", "--model", "y", "--where", "z")])  # fmt: skip
def test_values_of_the_wrong_kind(said, arguments):
    assert said(*arguments)[0] == 2


def test_every_command_is_in_these_tables():
    known = set(typer.main.get_command(app).commands)
    tried = {
        "run-study",
        "explain-study",
        "evaluate-folder",
        "report-store",
        "report-study",
        "ingest",
        "deidentify",
        "replay",
        "nifti-to-dicom",
        "deploy",
        "check-loss",
        "status",
        "ui",
        "demo",
        "phantom",
        "list",
        "plan-recipe",
        "recipe",
        "send",
        "receive",
    }
    # What is asked of registered models, a vault and a feedback log has hostile inputs of its own: altered versions, exports, policies, entries, keys, forms.
    elsewhere = {
        "audit",
        "drift",
        "loss",
        "promote",
        "rollback",
        "lineage",
        "gc",
        "registry",
        "server",
        "models",
        "import-teacher",
        "vault",
        "feedback",
        "review",
        "export",
    }
    assert known == {*RECIPE_COMMANDS, *tried, *elsewhere, "benchmark-explainers"}
