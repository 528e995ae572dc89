"""What cannot be made is known before anything is computed, and only a student on its own data is compressed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import (
    Candidate,
    CompressionError,
    CompressionRecipe,
    Lineage,
    MissingDependencyError,
    Pruning,
    Quantisation,
    TaskKind,
)
from medkd.compression import candidates as module
from medkd.compression.candidates import (
    baselines,
    checked_candidates,
    fetch_source,
    require_libraries,
    seeds_of,
    train_candidate,
    training_of,
)
from tests.contracts.test_compression import TUNE

MODEL = SimpleNamespace(uri="models:/r-kd/1", teacher=Lineage(name="r-teacher", version=1, manifest_digest="a" * 64))


def recipe_of(**candidates):
    return CompressionRecipe(name="c", recipe="phantom", model=MODEL.uri, candidates=candidates, seeds=(3, 4))


@pytest.fixture
def fetch(monkeypatch, cohorts, workspace):
    def fetched(own, teacher=None, model=MODEL):
        monkeypatch.setattr(module, "adopt", lambda *_: (model, own, teacher))
        return fetch_source(workspace, "registry", recipe_of(a=Candidate()), cohorts)

    return fetched


def test_a_student_of_the_recipe_comes_with_its_teacher(fetch, student, teacher):
    found = fetch(student, teacher)
    assert (found.checkpoint, found.teacher) == (student, teacher)
    assert fetch(student, student, SimpleNamespace(uri="u", teacher=None)).teacher is None


def test_a_network_with_two_heads_is_refused(fetch, student):
    task = student.task.model_copy(update={"kind": TaskKind.SEGMENTATION, "case_classes": ("none", "some")})
    with pytest.raises(CompressionError, match="one head to compress") as caught:
        fetch(student.model_copy(update={"task": task}))
    assert caught.value.code == "TWO_HEADS"


def test_a_teacher_and_a_version_of_other_data_are_refused(fetch, student, teacher):
    with pytest.raises(CompressionError, match="is a teacher") as caught:
        fetch(teacher)
    assert caught.value.code == "NOT_A_STUDENT"
    for changes in ({"cohort_digest": "f" * 64}, {"seed": 99}):
        with pytest.raises(CompressionError, match="trained on the data of the recipe 'phantom'") as caught:
            fetch(student.model_copy(update=changes))
        assert caught.value.code == "RECIPE_FOREIGN"


def test_what_cannot_be_made_is_refused_and_the_others_stay(student):
    recipe = recipe_of(factorised=Candidate(rank_ratio=0.5), plain=Candidate(quantise=Quantisation(by="onnx"), runtime="onnx"))
    assert checked_candidates(recipe, student) == {}
    before = student.network.model_copy(update={"rank_ratio": 0.5})
    refused = checked_candidates(recipe, student.model_copy(update={"network": before}))
    assert {name: why.code for name, why in refused.items()} == {"factorised": "ALREADY_FACTORISED"}


def test_aware_training_while_channels_come_and_go_is_refused(student):
    aware = Candidate(prune=Pruning(share=0.5, dynamic=True), tune=TUNE, quantise=Quantisation(method="aware"))
    assert checked_candidates(recipe_of(a=aware), student)["a"].code == "AWARE_WHILE_PRUNING"


def test_without_openvino_the_version_stands_there_by_torch_and_onnx(monkeypatch):
    assert list(baselines()) == ["torch", "onnx", "openvino"]

    def missing():
        raise MissingDependencyError("OPENVINO_MISSING", "expected OpenVINO, got none")

    monkeypatch.setattr(module, "import_openvino", missing)
    assert list(baselines()) == ["torch", "onnx"]
    require_libraries(Candidate(runtime="onnx"))
    with pytest.raises(MissingDependencyError):
        require_libraries(Candidate())


def test_seeds_matter_where_something_is_trained():
    recipe = recipe_of(a=Candidate(), b=Candidate(tune=TUNE))
    assert seeds_of(recipe, recipe.candidates["a"]) == (3,)
    assert seeds_of(recipe, recipe.candidates["b"]) == (3, 4)


def test_the_training_is_that_of_the_versions_arm(recipe, student):
    assert training_of(recipe, student) == recipe.student_training("kd", 0)
    with pytest.raises(CompressionError, match="expected an arm 'gone'") as caught:
        training_of(recipe, student.model_copy(update={"arm": "gone"}))
    assert caught.value.code == "RECIPE_FOREIGN"


def test_quantisation_aware_training_gives_weights_of_its_own_that_any_form_is_made_of(workspace, recipe, cohorts, student, teacher):
    training = (training_of(recipe, student), cohorts)
    aware = Candidate(tune=TUNE, quantise=Quantisation(method="aware"))
    made = train_candidate(workspace, training, student, teacher, aware, 0)
    again = train_candidate(workspace, training, student, teacher, aware.model_copy(update={"quantise": Quantisation(method="aware", by="onnx"), "runtime": "onnx"}), 0)  # fmt: skip
    plain = train_candidate(workspace, training, student, teacher, Candidate(tune=TUNE), 0)
    assert made.weights_digest == again.weights_digest
    assert len({made.weights_digest, plain.weights_digest, student.weights_digest}) == 3
    assert made.network == student.network
