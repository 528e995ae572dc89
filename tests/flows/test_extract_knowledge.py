"""Knowledge from one site to another: extracted and registered here, distilled from there, without the teacher's weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import flows
from data_contracts import KnowledgeRef, TrainingManifest, load_record
from flows.extract_knowledge import extract_knowledge
from medkd.registry.interface import TRAINING_MANIFEST
from medkd.registry.recipe_result import RecipeResult
from medkd.registry.register_knowledge import RECORD
from tests.flows.recording import golden_recipe, recorded

pytestmark = pytest.mark.xdist_group("knowledge")
RECIPE = Path(flows.__file__).parent / "recipes" / "phantom-segmentation.yaml"
TINY = [
    "data.teacher=48", "data.teacher_validation=16", "data.student=16", "data.unlabelled=16", "data.test=16", "seeds=[0]", "teacher.fit.epochs=1",
    "student.fit.epochs=1", "student.fit.samples_per_epoch=32", "teacher.fit.batch_size=16", "student.fit.batch_size=16", "teacher.gate.enforce=false",
    "teacher.network.options.channels=[4, 8]", "student.network.options.channels=[4, 8]", "explain.cases=2",
]  # fmt: skip
HINTS = 'arms.kd.terms=[{"loss": "cross_entropy"}, {"loss": "logit_kd"}, {"loss": "hint", "feature_layers": "each"}]'


def options(*more):
    return [part for value in (*TINY, *more) for part in ("--set", value)]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory, medkd_here):
    folder = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDKD_WORKERS", "0")
        status, said, faults = medkd_here("extract-knowledge", RECIPE, "--out", folder / "run", "--json", *options(HINTS))
    assert status == 0, faults[-3000:]
    return folder / "run", json.loads(said.splitlines()[-1])


def test_an_extraction_says_what_it_holds_and_how_close_it_is(extracted):
    _, summary = extracted
    assert summary["uri"] == "models:/phantom-segmentation-knowledge/1"
    assert summary["teacher"].startswith("phantom-segmentation-teacher/1@")
    assert summary["cases"] == 32
    assert summary["stores"][0] == "logits"
    assert any("features of" in part for part in summary["stores"])
    assert summary["raw_logit_bytes"] == 32 * 2 * 64 * 64 * 4
    assert summary["bytes"] > summary["logit_bytes"] > 0
    assert 0 <= summary["kl"] < 0.05


@pytest.mark.extended
def test_another_site_distils_without_the_teachers_weights(extracted, here, tmp_path, monkeypatch):
    folder, summary = extracted
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    copy = tmp_path / "registry"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "store")
    assert list((copy / "mlartifacts").rglob("*.safetensors"))
    status, out, err = here(
        "distill", RECIPE, "--knowledge", summary["uri"], "--run", folder, "--out", tmp_path / "there", "--json", *options(HINTS)
    )
    assert status == 0, err
    payload = json.loads(out.splitlines()[-1])
    lineage = {model["uri"]: model["teacher"] for model in payload["models"]}
    assert lineage["models:/phantom-segmentation-kd/1"] == summary["teacher"]
    assert lineage["models:/phantom-segmentation-alone/1"] is None
    assert not list((tmp_path / "there" / "store" / "models").rglob("teacher*"))
    card = payload["scorecards"]["phantom-segmentation/kd"]
    assert 0 <= card["dice"] <= 1
    # The teacher is registered where the knowledge is: its students are measured by it, and say what they learned from and what they lost.
    assert -1 <= card["agreement"] <= 1
    status, out, err = here("loss", "models:/phantom-segmentation-kd/1", "--run", folder, "--json")
    assert status == 0, err
    statement = json.loads(out.splitlines()[-1])
    assert statement["figures"] > 0
    query = "knowledge=phantom-segmentation-knowledge/1 and teacher=phantom-segmentation-teacher"
    status, out, err = here("registry", "search", query, "--run", folder, "--json")
    assert [one["model"] for one in json.loads(out.splitlines()[-1])["found"]] == [
        f"models:/phantom-segmentation-{arm}/1" for arm in ("kd", "kd_explanation")
    ], err
    status, out, err = here("lineage", "models:/phantom-segmentation-kd/1", "--run", folder, "--json")
    nodes = {f"{node['kind']}:{node['name']}": node for node in json.loads(out.splitlines()[-1])["nodes"]}
    assert "knowledge:phantom-segmentation-knowledge/1" in nodes["student:phantom-segmentation-kd/1"]["parents"], err


TWO = [
    "teachers.second.network={builder: unet, options: {channels: [4, 6]}}", "teachers.second.fit={epochs: 1, batch_size: 16}",
    "teachers.second.terms=[{loss: cross_entropy}]", "teachers.second.gate={min_dice: 0, enforce: false}", "teachers.second.seed=1",
    "arms.kd.teachers=[teacher, second]", "arms.kd.weighting=confidence",
]  # fmt: skip


@pytest.mark.extended
def test_another_site_distils_from_two_teachers(here, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    folder = tmp_path / "run"
    status, out, err = here("extract-knowledge", RECIPE, "--out", folder, "--json", *options(*TWO))
    assert status == 0, err
    first = json.loads(out.splitlines()[-1])
    (second,) = first["further"]
    assert {first["teacher"].split("@")[0], second["teacher"].split("@")[0]} == {
        "phantom-segmentation-teacher/1", "phantom-segmentation-teacher_second/1"
    }  # fmt: skip
    asked = ("distill", RECIPE, "--run", folder, "--out", tmp_path / "there", "--json", *options(*TWO))
    status, _, err = here(*asked, "--knowledge", first["uri"])
    assert (status, err.strip().splitlines()[-1].split(":")[0]) == (2, "KNOWLEDGE_MISSING")
    status, out, err = here(*asked, "--knowledge", second["uri"], "--knowledge", first["uri"])
    assert status == 0, err
    payload = json.loads(out.splitlines()[-1])
    assert payload["knowledge"] == [second["uri"], first["uri"]]
    status, out, err = here("lineage", "models:/phantom-segmentation-kd/1", "--run", folder, "--json")
    parents = next(node["parents"] for node in json.loads(out.splitlines()[-1])["nodes"] if node["name"] == "phantom-segmentation-kd/1")
    assert {"teacher:phantom-segmentation-teacher/1", "teacher:phantom-segmentation-teacher_second/1"} <= set(parents), err


def test_the_registered_version_carries_its_lineage_and_whom_the_teacher_has_seen(extracted):
    from medkd.registry.publish import open_registry
    from medkd.storage.workspace import local_workspace

    folder, summary = extracted
    registry = open_registry(local_workspace(folder))
    model, files = registry.fetch(summary["uri"])
    record = load_record(files / RECORD, KnowledgeRef)
    assert model.role == "knowledge"
    assert model.weights_digest == record.teacher_digest
    assert load_record(files / TRAINING_MANIFEST, TrainingManifest).patients == record.patients
    assert len(record.patients) == 48
    assert {Path(ref.key).name for ref in record.shards} == {path.name for path in (files / "shards").iterdir()}


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (['arms.kd.terms=[{"loss": "logit_kd"}, {"loss": "hint", "options": {"teacher_layer": "trunk.model.0"}}]'], "KNOWLEDGE_MISSING"),
        (
            ['arms.kd.terms=[{"loss": "logit_kd"}, {"loss": "attribution_transfer", "options": {"explainer": "grad_cam"}}]'],
            "KNOWLEDGE_MISSING",
        ),
        (['arms.kd.terms=[{"loss": "occluded_kd"}]'], "RECIPE_NEEDS"),
        ([HINTS, "data.cohort_seed=77"], "KNOWLEDGE_MISSING"),
        ([HINTS, "task.classes=[background, tumour]"], "CLASSES_DIFFER"),
    ],
)
def test_what_is_not_in_the_store_is_one_sentence_before_training(extracted, here, tmp_path, monkeypatch, more, code):
    folder, summary = extracted
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    status, _, err = here("distill", RECIPE, "--knowledge", summary["uri"], "--run", folder, "--out", tmp_path, "--json", *options(*more))
    assert status == 2
    assert err.strip().splitlines()[-1].startswith(f"{code}: expected")
    assert not list((tmp_path / "training").rglob("kd-*/state.safetensors"))


@pytest.mark.extended
def test_a_student_of_another_label_set_says_which_classes_belong_together(extracted, here, tmp_path, monkeypatch):
    folder, summary = extracted
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    renamed = ["task.classes=[background, tumour]", "knowledge.class_map={background: [background], tumour: [lesion]}"]
    status, out, err = here(
        "distill", RECIPE, "--knowledge", summary["uri"], "--run", folder, "--out", tmp_path, "--json", *options(HINTS, *renamed)
    )
    assert status == 0, err
    assert len(json.loads(out.splitlines()[-1])["models"]) == 3


def test_a_model_is_no_knowledge(extracted, here, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    folder, _ = extracted
    status, _, err = here(
        "distill", RECIPE, "--knowledge", "models:/phantom-segmentation-teacher/1", "--run", folder, "--out", tmp_path, *options()
    )
    assert status == 2
    assert "NOT_KNOWLEDGE" in err


@pytest.mark.extended
def test_a_run_with_an_arm_that_reads_a_store_extracts_on_its_way(here, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_WORKERS", "0")
    status, out, err = here("run", RECIPE, "--engine", "none", "--out", tmp_path, "--json", *options("arms.kd.knowledge=store"))
    assert status == 0, err
    names = {model["name"] for model in json.loads(out.splitlines()[-1])["models"]}
    assert names == {f"phantom-segmentation-{arm}" for arm in ("teacher", "alone", "kd", "kd_explanation")}
    from medkd.registry.publish import open_registry
    from medkd.storage.workspace import local_workspace

    model, _ = open_registry(local_workspace(tmp_path)).fetch("models:/phantom-segmentation-knowledge/1")
    assert str(model.teacher).startswith("phantom-segmentation-teacher/1@")


def test_only_a_teacher_whose_recipe_reads_a_store_is_asked():
    reader = golden_recipe("reader")
    arms = {name: arm.model_copy(update={"knowledge": "store"}) for name, arm in reader.arms.items()}
    results = [RecipeResult(one, "cohorts", teacher="teacher") for one in (golden_recipe("live"), reader.model_copy(update={"arms": arms}))]
    with recorded(knowledge=lambda _, spec, *__: f"knowledge of {spec.recipe}") as engine:
        live, stored = extract_knowledge("workspace", results)
    assert (live.knowledge, stored.knowledge) == (None, "knowledge of reader")
    assert engine.calls("knowledge")[0][2:] == ("cohorts", "teacher")
