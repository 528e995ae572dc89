"""A recipe learns from an imported teacher: judged by the gate, copied, and named by its students."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from monai.networks.nets import ResNet

from data_contracts import RegistryError, TeacherGateError, TeacherRecipe
from flows.pipeline import learn
from flows.start import start_engine
from medkd.evaluation.gate_teacher import judge_teacher, require_fit_teacher
from medkd.foreign.import_teacher import ImportRequest, import_teacher
from medkd.registry.adopt_teacher import registered_teacher
from medkd.registry.publish import open_registry
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import make_recipe

ARGUMENTS = {"block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 4, 4, 4]}


@pytest.fixture(scope="module")
def imported(registry, tmp_path_factory, recipe):
    folder = tmp_path_factory.mktemp("resnet")
    torch.manual_seed(0)
    torch.save(ResNet(spatial_dims=2, n_input_channels=1, num_classes=2, **ARGUMENTS).state_dict(), folder / "w.pt")
    task = json.loads(recipe.task.model_dump_json())
    (folder / "task.yaml").write_text(
        json.dumps({"task": task, "monai": {"name": "ResNet", "arguments": ARGUMENTS}, "name": "from-elsewhere"})
    )
    return import_teacher(registry, ImportRequest(folder / "w.pt", description=folder / "task.yaml"))


def learning_from(recipe, uri, **gate):
    payload = json.loads(recipe.canonical_json())
    return make_recipe({**payload, "teacher": {"registered": uri, "gate": gate}}, {}, "test")


@pytest.fixture
def here(workspace, registry, tracking):
    return replace(workspace, tracking_uri=f"sqlite:///{tracking}")


def test_it_is_judged_by_the_same_gate(here, recipe, cohorts, imported):
    own = learning_from(recipe, imported.model.uri, min_auc=0.99)
    teacher = registered_teacher(here, own)
    assert (teacher.arm, teacher.weights_digest) == ("teacher", imported.checkpoint.weights_digest)
    verdict = judge_teacher(here, own.name, own.teacher.gate, cohorts, teacher)
    assert [finding.requirement for finding in verdict.findings] == ["min_auc"]
    with pytest.raises(TeacherGateError) as caught:
        require_fit_teacher(verdict)
    assert caught.value.code == "TEACHER_REFUSED"


def test_one_of_another_task_is_refused(here, recipe, imported):
    own = learning_from(recipe, imported.model.uri)
    other = own.model_copy(update={"task": own.task.model_copy(update={"window": (0.0, 1.0)})})
    with pytest.raises(RegistryError) as caught:
        registered_teacher(here, other)
    assert caught.value.code == "TEACHER_TASK"
    with pytest.raises(RegistryError) as caught:
        registered_teacher(here, learning_from(recipe, "models:/from-elsewhere/9"))
    assert caught.value.code == "VERSION_UNKNOWN"


def test_a_recipe_of_a_registered_teacher_says_nothing_of_a_training(recipe, imported):
    own = learning_from(recipe, imported.model.uri)
    assert json.loads(own.canonical_json())["teacher"] == {
        "gate": json.loads(own.teacher.gate.model_dump_json()),
        "registered": imported.model.uri,
    }
    assert make_recipe(json.loads(own.canonical_json()), {}, "again") == own
    with pytest.raises(ValueError, match="got registered and fit"):
        TeacherRecipe.model_validate({"registered": "models:/x/1", "fit": {"epochs": 1}})
    for uri in ("models:/x@champion", "x", "models:/x/latest"):
        with pytest.raises(ValueError, match="pattern"):
            TeacherRecipe.model_validate({"registered": uri})


@pytest.mark.extended
def test_the_whole_way(recipe, imported, tracking, tmp_path):
    """Nothing is trained but students, which name the imported version as their teacher."""
    workspace = replace(local_workspace(tmp_path / "run"), tracking_uri=f"sqlite:///{tracking}")
    own = learning_from(recipe, imported.model.uri, enforce=False)
    own = own.model_copy(update={"name": "learned-from-elsewhere", "arms": {"kd": own.arms["kd"]}})
    with start_engine("none", workspace.root, workers=0):
        (result,) = learn(workspace, (own,))
    assert result.registered.models[0].uri == imported.model.uri
    student = open_registry(workspace).fetch(result.registered.models[1].uri)[0]
    assert student.teacher == imported.model.lineage
    assert not list((workspace.root / "stages").glob("train_teacher-*"))
