"""`medkd explain-study`, `medkd explain-model`, `medkd inspect-model` and `medkd replay ID`, on the registry of a run."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from data_contracts import StudyExplanation, load_record
from flows.demo import RECIPES
from medkd.explanation.artefact import read_explanation
from tests.review.language import in_language

pytestmark = pytest.mark.xdist_group("demo")
MODEL = "models:/phantom-segmentation-teacher/1"


@pytest.fixture(scope="module")
def explained(smoke, medkd_here, tmp_path_factory):
    out = tmp_path_factory.mktemp("explained")
    status, said, faults = medkd_here(
        "explain-study", smoke.folder / "dicom" / "study001", "--model", MODEL, "--run", smoke.folder, "--out", out,
        "--explainers", "grad_cam,integrated_gradients", "--set", "integrated_gradients.steps=4", "--json",
    )  # fmt: skip
    assert status == 0, faults[-2000:]
    return out, json.loads(said.splitlines()[-1])


def test_every_lesion_gets_a_map_and_every_explainer_a_verdict(explained):
    _, summary = explained
    assert summary["lesions"]
    asked = {(one["number"], one["explainer"]) for one in summary["maps"]}
    first = [lesion["number"] for lesion in summary["lesions"] if lesion["explained"]]
    assert asked == {(number, name) for number in first for name in ("grad_cam", "integrated_gradients")}
    assert [verdict["explainer"] for verdict in summary["sanity_reports"]] == ["grad_cam", "integrated_gradients"]
    # Grad-CAM of a segmentation is one map for all lesions.
    assert "grad_cam" in summary["failed_explainers"]


def test_it_ends_in_a_page_with_the_legend_of_its_tables(explained):
    out, summary = explained
    assert summary["report"] == str(out / "report.html")
    page = in_language((out / "report.html").read_text(), "en")
    assert "<dt>inside</dt><dd>share of the map that lies inside the lesion (1: all of it)</dd>" in page
    assert "failed: random_lesion" in page


def test_it_lies_beside_its_model_version(explained, smoke):
    from mlflow.tracking import MlflowClient

    out, summary = explained
    client = MlflowClient(tracking_uri=smoke.summary["tracking_uri"], registry_uri=smoke.summary["tracking_uri"])
    version = client.get_model_version("phantom-segmentation-teacher", "1")
    short = summary["explanation"][:12]
    assert f"medkd.explanation.{short}" in version.tags
    assert "grad_cam" in version.tags["medkd.failed_explainers"]
    assert f"explanations/explanation-{short}.zip" in {
        f.path for f in client.list_logged_model_artifacts(version.tags["medkd.logged_model"], "explanations")
    }
    previews = client.list_logged_model_artifacts(version.tags["medkd.logged_model"], f"previews/{short}")
    assert 1 <= len(previews) <= 20
    assert len(previews) == len(summary["previews"])
    record, arrays = read_explanation(out / "explanations" / short)
    assert record == load_record(out / "explanations" / short / "explanation.json", StudyExplanation)
    on_voxels = {name: values for name, values in arrays.items() if not name.startswith("features/")}
    assert on_voxels
    assert all(tuple(values.shape) == record.volume.geometry.shape for values in on_voxels.values())


@pytest.mark.extended
def test_it_is_made_again_to_the_bit_and_refused_when_it_cannot_be(explained, here, smoke):
    out, summary = explained
    status, text, errors = here("replay", summary["maps"][0]["id"], "--in", out, "--run", smoke.folder)
    assert (status, errors) == (0, "")
    assert "every bit is the same" in text
    status, _, errors = here("replay", "nobody", "--in", out, "--run", smoke.folder)
    assert status == 2
    assert errors.startswith("EXPLANATION_UNKNOWN: expected")


@pytest.mark.extended  # the same in this process: the test above
def test_the_printed_command_makes_it_again_from_any_folder(explained, tmp_path):
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        shlex.split(explained[1]["replay"]), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "every bit is the same" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--model", MODEL, "--explainers", "grad_cam", "--set", "grad_cam.layer=nowhere"), "LAYER_UNKNOWN"),
        (("--model", MODEL, "--explainers", "saliency", "--set", "lime.samples=3"), "RECIPE_OVERRIDE"),
        (("--model", MODEL, "--explainers", "saliency", "--lesion", "99"), "LESION_UNKNOWN"),
        (("--model", "models:/phantom-classification-teacher/1", "--explainers", "saliency", "--lesion", "99"), "LESION_UNKNOWN"),
        (("--model", "models:/nobody/1"), "VERSION_UNKNOWN"),
    ],
)
def test_what_cannot_be_explained_is_one_sentence(here, smoke, tmp_path, arguments, code):
    study = smoke.folder / "dicom" / "study001"
    status, _, errors = here("explain-study", study, *arguments, "--run", smoke.folder, "--out", tmp_path)
    assert status == 2
    assert errors.splitlines()[-1].startswith(f"{code}: expected")


@pytest.mark.extended
def test_a_classifier_says_why_it_answers_what_it_answers(here, smoke, tmp_path):
    status, text, errors = here(
        "explain-study", smoke.folder / "dicom" / "study001", "--model", "models:/phantom-classification-kd/1", "--explainers",
        "cam,integrated_gradients", "--set", "integrated_gradients.steps=4", "--run", smoke.folder, "--out", tmp_path, "--json",
    )  # fmt: skip
    assert status == 0, errors[-800:]
    summary = json.loads(text.splitlines()[-1])
    assert (summary["lesions"], bool(summary["answers"])) == ([], True)
    slices = sorted(place for answer in summary["answers"] for place in range(answer["first_slice"], answer["last_slice"] + 1))
    record, arrays = read_explanation(tmp_path / "explanations" / summary["explanation"][:12])
    assert slices == list(range(record.volume.geometry.shape[0]))  # every slice has an answer, and one only
    assert {one["role"] for one in summary["maps"]} == {"student", "teacher"}
    # The phantom's studies hold lesion segmentations: maps of slices with a lesion are judged by where it lies.
    judged = [one for one in summary["maps"] if "relevance_mass_accuracy" in one["measures"]]
    assert [one for one in arrays if one[:4] == "mask"] == [f"mask/{number}" for number in record.explained]
    assert {one["number"] for one in judged} == {
        int(name.split("/")[1]) for name, mask in arrays.items() if name[:4] == "mask" and mask.any()
    }
    assert judged
    status, text, errors = here("replay", summary["explanation"], "--in", tmp_path, "--run", smoke.folder)
    assert (status, errors) == (0, "")
    assert "every bit is the same" in text


def test_a_cohorts_maps_are_made_again_to_the_bit_too(here, smoke):
    from data_contracts import ExplanationBundle

    stages = sorted((smoke.folder / "stages").glob("explain_cohort-*.json"))
    bundle = load_record(stages[0], ExplanationBundle)
    assert 1 <= len(bundle.previews) <= 20
    for verdict in bundle.sanity_reports:
        checks = {check.name: check for check in verdict.checks}
        assert checks["additivity"].passed, verdict
        assert verdict.trusted == (verdict.explainer not in bundle.failed_explainers)
        if verdict.explainer == "integrated_gradients":  # of four steps: how far it is from complete depends on the processor
            assert checks["completeness"].passed == (checks["completeness"].value <= checks["completeness"].limit)
    status, text, errors = here("replay", bundle.explanations[0].digest()[:16], "--in", smoke.folder, "--run", smoke.folder)
    assert (status, errors) == (0, "")
    assert "every bit is the same" in text


def test_a_registered_model_is_explained_on_a_recipes_cases(here, smoke, tmp_path):
    status, text, errors = here(
        "explain-model", RECIPES / "phantom-classification.yaml", "--model", "models:/phantom-classification-kd/1", "--run", smoke.folder,
        "--out", tmp_path, "--set", "data.teacher=64", "--set", "data.student=32", "--set", "data.test=24", "--set", "data.teacher_validation=16",
        "--set", "data.debiased=24", "--set", "data.reversed=16", "--set", "data.marker_pairs=8", "--set", "explain.cases=4", "--json",
        "--set", "explain.measures=[{name: max_sensitivity}, {name: relevance_mass_accuracy}, {name: deletion_outside}]",
        "--set", "explain.explainers=[{name: cam}]",
    )  # fmt: skip
    assert status == 0, errors[-800:]
    figures = json.loads(text.splitlines()[-1])["figures"]
    assert {name.split("/")[0] for name in figures} >= {"baseline_random", "baseline_edges", "baseline_centre"}
    assert 0 < figures["cam/max_sensitivity"]["mean"] < 5
    assert "baseline_random/max_sensitivity" not in figures


@pytest.mark.extended
def test_a_registered_model_is_inspected_and_what_is_found_lies_beside_it(here, smoke, tmp_path):
    from mlflow.tracking import MlflowClient

    status, text, errors = here(
        "inspect-model", RECIPES / "phantom-segmentation.yaml", "--model", "models:/phantom-segmentation-kd/1", "--run", smoke.folder, "--out", tmp_path,
        "--set", "data.teacher=32", "--set", "data.student=16", "--set", "data.unlabelled=16", "--set", "data.test=16",
        "--set", "data.teacher_validation=16", "--set", "explain.cases=2", "--json",
    )  # fmt: skip
    assert status == 0, errors[-800:]
    found = json.loads(text.splitlines()[-1])
    assert found["cases"] == 2
    assert {"student/flipped", "teacher/flipped"} <= set(found["figures"])
    client = MlflowClient(tracking_uri=smoke.summary["tracking_uri"], registry_uri=smoke.summary["tracking_uri"])
    version = client.get_model_version("phantom-segmentation-kd", "1")
    assert version.tags["medkd.inspection"] == found["inspection"]
    assert {Path(one.path).suffix for one in client.list_logged_model_artifacts(version.tags["medkd.logged_model"], "inspection")} == {
        ".json",
        ".png",
        ".safetensors",
    }
