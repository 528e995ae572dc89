"""Stages of registered knowledge: put into a registry below its teacher, and brought out of one with what is there of the teacher."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from data_contracts import Checkpoint, KnowledgeRef, Lineage, ModelRef, Ref, RegistryError, Role, load_record
from medkd.registry.interface import Registry
from medkd.registry.load_version import adopt
from medkd.registry.publish import open_registry
from medkd.registry.register_knowledge import RECORD, register_knowledge
from medkd.storage.stage import stage
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace


class FetchedKnowledge(NamedTuple):
    """Registered knowledge in a workspace: its record, its shards in the store, and the version that it is."""

    record: KnowledgeRef
    version: Lineage


@stage
def publish_knowledge(workspace: Workspace, recipe: str, teacher: ModelRef, knowledge: KnowledgeRef) -> ModelRef:
    """Register knowledge below the teacher it is of."""
    return register_knowledge(workspace, recipe, teacher, knowledge, open_registry(workspace))


def fetch_knowledge(workspace: Workspace, uri: str, registry: Registry | None = None) -> FetchedKnowledge:
    """Bring registered knowledge into a workspace's store, every byte verified.

    Raises:
        RegistryError: ``NOT_KNOWLEDGE`` when the version is a model.
    """
    # Held by a name: what is fetched lives as long as the registry it was fetched from.
    source = registry or open_registry(workspace)
    model, folder = source.fetch(uri)
    if model.role is not Role.KNOWLEDGE:
        raise RegistryError(
            "NOT_KNOWLEDGE", f"expected registered knowledge, {uri} is a {model.role.value}: look for a name ending in -knowledge"
        )
    record = load_record(folder / RECORD, KnowledgeRef)
    shards = []
    for ref in record.shards:
        key = f"knowledge/fetched-{record.digest()[:16]}/{Path(ref.key).name}"
        write_bytes(workspace.store.root / key, (folder / "shards" / Path(ref.key).name).read_bytes())
        shards.append(Ref(store=workspace.store.name, key=key, sha256=ref.sha256))
    # Of an imported version the tag names the teacher as it is called here; the record says what it was called where it came from.
    return FetchedKnowledge(record.model_copy(update={"shards": tuple(shards), "teacher": model.teacher or record.teacher}), model.lineage)


def fetch_teacher(workspace: Workspace, knowledge: KnowledgeRef, registry: Registry | None = None) -> Checkpoint | None:
    """Bring the teacher that knowledge is of into a workspace's store, to measure its students by; None where it is not registered here.

    Raises:
        RegistryError: ``VERSION_ALTERED``; ``KNOWLEDGE_FOREIGN`` where the registered teacher has other weights than the knowledge says.
    """
    source, lineage = registry or open_registry(workspace), knowledge.teacher
    known = () if lineage is None else source.versions(lineage.name)
    found = next((one for one in known if lineage is not None and one.manifest_digest == lineage.manifest_digest), None)
    if found is None:
        return None
    _, checkpoint, _ = adopt(workspace, source, found.uri)
    if checkpoint.weights_digest != knowledge.teacher_digest:
        raise RegistryError(
            "KNOWLEDGE_FOREIGN",
            f"expected {found.uri} to have the weights {knowledge.teacher_digest[:12]} that the knowledge is of, it has "
            f"{checkpoint.weights_digest[:12]}; fetch the knowledge from where its teacher is",
        )
    return checkpoint
