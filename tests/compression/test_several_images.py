"""A student of several images, and one that sees less than its teacher, are compressed, exported, measured and timed as any other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import flows
from data_contracts import Candidate, KnowledgeError, Lineage, LossTerm, Pruning, Quantisation, TrainingConfig, Tuning
from data_contracts.private import private_folder
from medkd.cohorts.prepare import prepare_cohorts, source_digest
from medkd.compression.answer_cases import answer_form
from medkd.compression.candidates import training_of
from medkd.compression.compress_network import compress_checkpoint
from medkd.compression.make_form import make_form
from medkd.compression.register_forms import exported_form
from medkd.compression.time_forms import time_forms, typical_cases
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, train_teacher

pytestmark = [pytest.mark.xdist_group("compress_several_images"), pytest.mark.extended]
SMALL = {
    "data.teacher": 16,
    "data.teacher_validation": 8,
    "data.student": 16,
    "data.unlabelled": 8,
    "data.test": 8,
    "teacher.fit.epochs": 1,
    "student.fit.epochs": 1,
    "student.fit.samples_per_epoch": 16,
    "teacher.gate": {"min_dice": 0.0},
    "seeds": [0],
}
#: Stands for the version that a form is put beside.
MODEL = SimpleNamespace(lineage=Lineage(name="r-kd", version=1, manifest_digest="a" * 64))
TUNE = Tuning(
    fit=TrainingConfig(epochs=1, batch_size=8, learning_rate=1e-3), terms=(LossTerm(loss="cross_entropy"), LossTerm(loss="logit_kd"))
)


@pytest.fixture(scope="module", params=["plain", "enhanced plain"])
def trained(request, tmp_path_factory):
    """Return a workspace, a recipe, its cohorts of two images, the teacher and a student that sees one or both of them."""
    seen = request.param.split()
    changes = {**SMALL, "student.inputs": seen, "teacher.inputs": ["enhanced"] if len(seen) == 1 else seen}
    recipe = read_recipe(Path(flows.__file__).parent / "recipes" / "cross_modality.yaml", changes)
    workspace = local_workspace(tmp_path_factory.mktemp("run"))
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), source_digest(recipe.data, None))
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    return workspace, recipe, cohorts, teacher, distill(workspace, recipe.student_training("kd", 0), cohorts, teacher)


def test_it_is_pruned_tuned_exported_measured_and_timed_as_it_sees(trained):
    workspace, recipe, cohorts, teacher, student = trained
    images = len(student.task.image_names)
    training = training_of(recipe, student)
    sees_the_same = teacher.task.input_names == student.task.input_names
    tune = TUNE if sees_the_same else TUNE.model_copy(update={"distill_from": "origin"})
    candidate = Candidate(prune=Pruning(share=0.5, importance="attribution"), tune=tune, runtime="onnx")
    made = compress_checkpoint(workspace, (training, cohorts), student, teacher, candidate)
    assert made.parameters < student.parameters
    assert made.task == student.task
    forms = [
        make_form(workspace, "torch", Candidate(runtime="torch"), made, cohorts, 0),
        make_form(workspace, "onnx", candidate, made, cohorts, 0),
        make_form(workspace, "int8", Candidate(runtime="onnx", quantise=Quantisation(by="onnx", cases=4)), made, cohorts, 0),
    ]
    assert [form.refusal for form in forms] == [None] * 3
    own, exported, rounded = (answer_form(workspace, form, cohorts, None) for form in forms)
    found = [workspace.store.read_tensors(one.arrays)["task"].numpy() for one in (own, exported, rounded)]
    np.testing.assert_allclose(found[1], found[0], atol=1e-3)
    assert np.isfinite(found[2]).any()
    record = exported_form(workspace, forms[1], MODEL, private_folder(workspace.root / "form"))
    assert record.logits_difference < 1e-3
    cases = typical_cases(cohorts, workspace.store, student.task)
    assert cases["values/0"].shape == (images, 64, 64)
    costs = time_forms(workspace, forms[:2], cohorts, rounds=1)
    assert all(cost.processor_seconds > 0 for cost in costs.values())


def test_a_teacher_that_sees_another_image_is_not_imitated(trained):
    workspace, recipe, cohorts, teacher, student = trained
    if teacher.task.input_names == student.task.input_names:
        pytest.skip("sees the same")
    with pytest.raises(KnowledgeError, match="expected a teacher that sees what") as caught:
        compress_checkpoint(workspace, (training_of(recipe, student), cohorts), student, teacher, Candidate(tune=TUNE))
    assert caught.value.code == "TASK_INPUTS"
