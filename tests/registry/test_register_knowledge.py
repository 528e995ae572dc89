"""Knowledge as a version: what lies in it, registered once, below its teacher and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import KnowledgeRef, RegistryError, Role, TrainingManifest, load_record
from medkd.registry.interface import TRAINING_MANIFEST
from medkd.registry.register_knowledge import RECORD, register_knowledge
from medkd.storage.workspace import local_workspace
from tests.registry.knowledge_records import knowledge_in, teacher_of
from tests.registry.memory_registry import MemoryRegistry


@pytest.fixture
def workspace(tmp_path):
    return local_workspace(tmp_path / "here")


@pytest.fixture
def knowledge(workspace):
    return knowledge_in(workspace)


def test_a_version_holds_record_shards_and_whose_data_the_teacher_saw(workspace, knowledge):
    registry, teacher = MemoryRegistry(), teacher_of(knowledge)
    model = register_knowledge(workspace, "r", teacher, knowledge, registry)
    assert (model.name, model.role, model.teacher, model.weights_digest) == (
        "r-knowledge",
        Role.KNOWLEDGE,
        teacher.lineage,
        knowledge.teacher_digest,
    )
    folder = registry.fetch(model.uri)[1]
    assert load_record(folder / RECORD, KnowledgeRef) == knowledge.model_copy(update={"teacher": teacher.lineage})
    assert load_record(folder / TRAINING_MANIFEST, TrainingManifest).patients == knowledge.patients
    for ref in knowledge.shards:
        assert (folder / "shards" / Path(ref.key).name).read_bytes() == workspace.store.path(ref).read_bytes()
    assert registry.tags(model)["medkd.use"] == "research only"
    assert registry.tags(model)["medkd.knowledge"] == knowledge.digest()


def test_the_same_knowledge_is_registered_once_and_other_knowledge_again(workspace, knowledge):
    registry, teacher = MemoryRegistry(), teacher_of(knowledge)
    first, again = (register_knowledge(workspace, "r", teacher, knowledge, registry) for _ in range(2))
    assert again == first
    fewer = knowledge.model_copy(update={"shards": knowledge.shards[:1]})
    second = register_knowledge(workspace, "r", teacher, fewer, registry)
    assert second.version == 2
    # What the run before left is no part of it.
    assert [path.name for path in (registry.fetch(second.uri)[1] / "shards").iterdir()] == ["0.safetensors"]


def test_its_figures_are_those_of_the_record(workspace, knowledge):
    published = []

    class Keeping(MemoryRegistry):
        def register(self, publication):
            published.append(publication)
            return super().register(publication)

    register_knowledge(workspace, "r", teacher_of(knowledge), knowledge, Keeping())
    assert published[0].metrics == {"entries": 3.0, "bytes": 400.0, "raw_bytes": 6400.0, "argmax_agreement": 0.99, "kl": 0.0001}
    assert published[0].params == {"recipe": "r", "views": "0", "cases": "3"}
    assert published[0].form is None


def test_knowledge_of_another_teacher_is_refused(workspace, knowledge):
    other, registry = teacher_of(knowledge).model_copy(update={"weights_digest": "f" * 64}), MemoryRegistry()
    with pytest.raises(RegistryError, match=rf"models:/t/4 \(ffffffffffff\), it is of {knowledge.teacher_digest[:12]}") as caught:
        register_knowledge(workspace, "r", other, knowledge, registry)
    assert caught.value.code == "KNOWLEDGE_FOREIGN"
    assert registry.names() == ()
