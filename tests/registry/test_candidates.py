"""The only model that can be meant is found, and nothing is guessed between several."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import Checkpoint, RegistryError, Role, TaskKind, load_record
from medkd.registry.candidates import only_segmentation_model
from medkd.registry.interface import Publication
from medkd.storage.manifest import pack_model
from tests.registry.memory_registry import MemoryRegistry

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "checkpoint_1.json"


@pytest.fixture
def registry(tmp_path):
    """Return a registry and a function that registers a model of a task there."""
    target = MemoryRegistry()

    def register(name, role, kind, seed=0):
        golden = load_record(GOLDEN, Checkpoint)
        checkpoint = golden.model_copy(update={"task": golden.task.model_copy(update={"kind": TaskKind(kind)}), "seed": seed})
        folder = tmp_path / f"{name}-{seed}"
        pack_model(folder, {"checkpoint.json": checkpoint.canonical_json()})
        target.register(Publication(name=name, folder=folder, role=role, weights_digest="a" * 64))

    return target, register


def test_the_only_student_is_meant_and_other_tasks_and_its_teacher_are_not(registry):
    target, register = registry
    register("r-teacher", Role.TEACHER, "segmentation")
    assert only_segmentation_model(target) == "models:/r-teacher/1"
    register("r-kd", Role.STUDENT, "segmentation")
    register("c-kd", Role.STUDENT, "classification")
    assert only_segmentation_model(target) == "models:/r-kd/1"
    assert target.names() == ("c-kd", "r-kd", "r-teacher")


def test_several_students_and_none_are_one_sentence(registry):
    target, register = registry
    with pytest.raises(RegistryError, match="got no model in this run") as caught:
        only_segmentation_model(target)
    assert caught.value.code == "MODEL_CHOICE"
    register("r-kd", Role.STUDENT, "segmentation")
    register("r-kd", Role.STUDENT, "segmentation", seed=1)
    with pytest.raises(RegistryError, match=r"got 2; choose one with --model: models:/r-kd/1, models:/r-kd/2"):
        only_segmentation_model(target)
