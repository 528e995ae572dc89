"""Knowledge goes into a registry and comes out in another workspace, byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from data_contracts import KnowledgeRef, ModelRef, RegistryError, Role, TrainingManifest, load_record, read_record
from medkd.registry.interface import Publication
from medkd.registry.publish import TRAINING_MANIFEST
from medkd.registry.publish_knowledge import RECORD, fetch_knowledge, register_knowledge
from medkd.storage.manifest import pack_model
from medkd.storage.workspace import local_workspace
from tests.registry.memory_registry import MemoryRegistry

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "knowledge_2.json"


@pytest.fixture
def workspace(tmp_path):
    return local_workspace(tmp_path / "here")


@pytest.fixture
def knowledge(workspace):
    """Return knowledge of two shards that lie in the workspace's store."""
    shards = tuple(workspace.store.write_tensors(f"knowledge/{n}.safetensors", {"logits": torch.full((2, 3), float(n))}) for n in range(2))
    return read_record(GOLDEN.read_bytes(), KnowledgeRef).model_copy(update={"shards": shards, "teacher": None})


def teacher_of(knowledge, version=4):
    return ModelRef(name="t", version=version, manifest_digest="a" * 64, role=Role.TEACHER, weights_digest=knowledge.teacher_digest)


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


def test_another_site_has_the_same_shards_in_its_own_store(workspace, knowledge, tmp_path):
    registry, there = MemoryRegistry(), local_workspace(tmp_path / "there")
    model = register_knowledge(workspace, "r", teacher_of(knowledge), knowledge, registry)
    fetched = fetch_knowledge(there, model.uri, registry)
    assert fetched.teacher == teacher_of(knowledge).lineage
    assert fetched.patients == knowledge.patients
    assert [ref.sha256 for ref in fetched.shards] == [ref.sha256 for ref in knowledge.shards]
    for number, ref in enumerate(fetched.shards):
        assert there.store.verify(ref)
        assert torch.equal(there.store.read_tensors(ref)["logits"], torch.full((2, 3), float(number)))
    assert fetch_knowledge(there, model.uri, registry) == fetched


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
