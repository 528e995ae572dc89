"""What the flow calls in which order, without calling it; and, extended, the whole of it on a small phantom."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from data_contracts import (
    Candidate,
    CheckOutcome,
    CompressionRecipe,
    CompressionReport,
    FormAnswers,
    FormRefusal,
    MadeForm,
    Pruning,
    Quantisation,
    load_record,
)
from flows.compress import CompressionPlan, ask_forms, explain_versions, make_forms, train_candidates
from tests.contracts.test_compression import TUNE
from tests.flows.recording import GOLDEN, golden_recipe, recorded

FORM, ANSWERS = (load_record(GOLDEN / f"{name}_1.json", kind) for name, kind in (("made_form", MadeForm), ("form_answers", FormAnswers)))
RECIPE = CompressionRecipe(
    name="c",
    recipe="r",
    model="models:/r-kd/1",
    candidates={"int8": Candidate(quantise=Quantisation()), "tuned": Candidate(tune=TUNE), "gone": Candidate(prune=Pruning(share=0.5))},
    seeds=(0, 1),
    cases=7,
)
SOURCE = SimpleNamespace(checkpoint=FORM.checkpoint.model_copy(update={"arm": "kd", "seed": 0}), teacher="teacher", model=SimpleNamespace())


def test_what_is_trained_is_trained_under_every_seed_and_what_cannot_be_made_not_at_all():
    plan = CompressionPlan(RECIPE, golden_recipe("r"), None)
    with recorded(candidates=lambda *call: (call[4], call[5])) as engine:
        trained = train_candidates("workspace", plan, SOURCE, "cohorts", frozenset({"gone"}))
    assert {name: [seed for _, seed in found] for name, found in trained.items()} == {"int8": [0], "tuned": [0, 1]}
    ((title, function, calls, names),) = engine.groups
    assert (title, function, names) == ("candidates", "train_candidate", ["int8-0", "tuned-0", "tuned-1"])
    assert all(call[2:4] == (SOURCE.checkpoint, "teacher") for call in calls)


def test_forms_of_the_version_itself_come_first_and_each_candidate_gets_its_network():
    own, other = SOURCE.checkpoint, SOURCE.checkpoint.model_copy(update={"seed": 1})
    with recorded(forms=lambda _, name, __, checkpoint, *___: FORM.model_copy(update={"name": name, "seed": checkpoint.seed})) as engine:
        made = make_forms("workspace", RECIPE, SOURCE, "cohorts", {"tuned": (own, other)})
    assert {name: [form.seed for form in forms] for name, forms in made.items()} == {
        "torch": [0],
        "onnx": [0],
        "openvino": [0],
        "tuned": [0, 1],
    }
    ((_, _, calls, names),) = engine.groups
    assert names == ["torch-0", "onnx-0", "openvino-0", "tuned-0", "tuned-1"]
    assert {call[5] for call in calls} == {0}  # whose training cases ranges are calibrated on


def test_a_candidate_that_could_not_be_made_under_every_seed_is_not_asked():
    broken = FORM.model_copy(update={"name": "b", "refusal": FormRefusal(code="NOT_QUANTISABLE", why="no")})
    made = {"int8": (FORM,), "b": (broken, broken.model_copy(update={"refusal": None}))}
    with recorded(test_cases=lambda _, form, *__: ANSWERS.model_copy(update={"name": form.name})) as engine:
        answers = ask_forms("workspace", RECIPE, "cohorts", made)
    assert list(answers) == ["int8"]
    ((_, _, (call,), _),) = engine.groups
    assert call[3] == 7


def test_what_was_registered_is_explained_in_the_registry_that_it_is_in():
    """A version without maps beside it is refused by the gate."""
    workspace, recipe = SimpleNamespace(tracking_uri="sqlite:///here.db"), golden_recipe("r")
    versions = tuple(SimpleNamespace(name=f"r-kd-compressed_{name}", uri=f"models:/r-kd-compressed_{name}/1") for name in ("a", "b"))
    with recorded() as engine:
        explain_versions(workspace, recipe, "cohorts", versions)
    ((title, function, calls, names),) = engine.groups
    assert (title, function, names) == ("explain", "explain_on_cohort", ["r-kd-compressed_a", "r-kd-compressed_b"])
    assert calls == [(workspace, recipe.explanation(), "cohorts", one.uri, "sqlite:///here.db") for one in versions]


@pytest.mark.extended
@pytest.mark.timeout(1200)
def test_a_student_is_compressed_measured_and_registered_and_the_gate_reads_its_record(tmp_path, recipe):
    """The whole of it: the same call again makes nothing anew, and what was trained is put to the gate with its record."""
    from flows.compress import compress
    from flows.compress_text import compression_summary, compression_text
    from flows.pipeline import learn
    from medkd.promotion.check_promotion import check_promotion
    from medkd.promotion.policy import read_policy
    from medkd.registry.exported_forms import fetch_form
    from medkd.registry.publish import open_registry
    from medkd.storage.workspace import local_workspace

    workspace = local_workspace(tmp_path / "run")
    one = recipe.model_copy(update={"arms": {"kd": recipe.arms["kd"]}})
    learn(workspace, (one,))
    loose = {"task_loss": 1, "calibration_loss": 1, "map_rank_correlation": -1, "lesion_share_loss": 1, "sign_stability": 0, "speed": 0.001, "speed_same_runtime": 0.001}  # fmt: skip
    candidates = {"int8": Candidate(quantise=Quantisation(cases=8)), "tuned": Candidate(tune=TUNE)}
    wanted = CompressionRecipe(name="c", recipe="phantom-classification", model="models:/phantom-classification-kd/1", candidates=candidates, bounds=loose)  # fmt: skip
    out = tmp_path / "out"
    out.mkdir()
    result = compress(workspace, CompressionPlan(wanted, one, out))
    assert [form.name for form in result.report.forms] == ["torch", "onnx", "openvino", "int8", "tuned"]
    assert not any(form.refusals for form in result.report.forms)
    (version,) = result.versions
    assert version.name == "phantom-classification-kd-compressed_tuned"
    assert {form.name: form.source.name for form in result.forms} == {"int8": "phantom-classification-kd", "tuned": version.name}
    registry = open_registry(workspace)
    assert fetch_form(registry, version.uri, "tuned")[0].precision == "fp32"
    verdict = check_promotion(registry, version.uri, read_policy())
    (check,) = [one for one in verdict.checks if one.theme == "compression"]
    assert check.holds
    measured = {one.theme for one in verdict.checks if one.outcome is not CheckOutcome.NOT_MEASURED}
    assert {"faithfulness", "randomisation", "evidence"} <= measured, verdict
    assert load_record(out / "compression.json", CompressionReport) == result.report
    assert max(len(line) for line in compression_text(result).splitlines() if "  " in line and ": " not in line) <= 100
    json.dumps(compression_summary(result))
    strict = CompressionRecipe(**{**wanted.model_dump(), "bounds": {"speed": 1000.0}})
    refused = compress(workspace, CompressionPlan(strict, one, out))
    assert refused.versions == ()
    assert refused.forms == ()
    assert "FORM_SLOWER" in compression_text(refused)
