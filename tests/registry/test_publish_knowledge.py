"""Knowledge goes into a registry and comes out in another workspace, byte by byte, with its teacher where that is registered."""

from __future__ import annotations

import pytest
import torch

from data_contracts import RegistryError, Role
from medkd.registry.interface import Publication
from medkd.registry.publish_knowledge import fetch_knowledge, fetch_teacher
from medkd.registry.register_knowledge import register_knowledge
from medkd.storage.manifest import pack_model
from medkd.storage.workspace import local_workspace
from tests.promotion.versions import Plan, publish
from tests.registry.knowledge_records import knowledge_in, teacher_of
from tests.registry.memory_registry import MemoryRegistry


@pytest.fixture
def workspace(tmp_path):
    return local_workspace(tmp_path / "here")


@pytest.fixture
def knowledge(workspace):
    return knowledge_in(workspace)


def test_another_site_has_the_same_shards_in_its_own_store(workspace, knowledge, tmp_path):
    registry, there = MemoryRegistry(), local_workspace(tmp_path / "there")
    model = register_knowledge(workspace, "r", teacher_of(knowledge), knowledge, registry)
    fetched, version = fetch_knowledge(there, model.uri, registry)
    assert version == model.lineage
    assert fetched.teacher == teacher_of(knowledge).lineage
    assert fetched.patients == knowledge.patients
    assert [ref.sha256 for ref in fetched.shards] == [ref.sha256 for ref in knowledge.shards]
    for number, ref in enumerate(fetched.shards):
        assert there.store.verify(ref)
        assert torch.equal(there.store.read_tensors(ref)["logits"], torch.full((2, 3), float(number)))
    assert fetch_knowledge(there, model.uri, registry) == (fetched, version)


def test_an_altered_shard_is_not_brought_here(workspace, knowledge):
    registry = MemoryRegistry()
    model = register_knowledge(workspace, "r", teacher_of(knowledge), knowledge, registry)
    (registry.fetch(model.uri)[1] / "shards" / "1.safetensors").write_bytes(b"other")
    with pytest.raises(RegistryError, match=r"shards/1\.safetensors") as caught:
        fetch_knowledge(workspace, model.uri, registry)
    assert caught.value.code == "VERSION_ALTERED"


def test_a_model_is_no_knowledge(workspace, tmp_path):
    registry = MemoryRegistry()
    pack_model(tmp_path / "model", {"weights": b"x"})
    model = registry.register(Publication(name="net", folder=tmp_path / "model", role=Role.STUDENT, weights_digest="1" * 64))
    with pytest.raises(RegistryError, match="models:/net/1 is a student") as caught:
        fetch_knowledge(workspace, model.uri, registry)
    assert caught.value.code == "NOT_KNOWLEDGE"


def test_the_teacher_is_brought_along_where_it_is_registered_and_is_the_one(workspace, knowledge, tmp_path):
    registry = MemoryRegistry()
    teacher = publish(registry, tmp_path, Plan(name="t", role=Role.TEACHER, explained=False))
    of_it = knowledge.model_copy(update={"teacher": teacher.lineage, "teacher_digest": teacher.weights_digest})
    found = fetch_teacher(workspace, of_it, registry)
    assert (found.role, found.weights_digest) == (Role.TEACHER, teacher.weights_digest)
    assert workspace.store.verify(found.weights)
    assert fetch_teacher(workspace, knowledge, registry) is None
    elsewhere = teacher.lineage.model_copy(update={"manifest_digest": "e" * 64})
    assert fetch_teacher(workspace, of_it.model_copy(update={"teacher": elsewhere}), registry) is None
    with pytest.raises(RegistryError) as caught:
        fetch_teacher(workspace, of_it.model_copy(update={"teacher_digest": "f" * 64}), registry)
    assert caught.value.code == "KNOWLEDGE_FOREIGN"
