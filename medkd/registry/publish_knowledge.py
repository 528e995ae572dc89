"""Knowledge as a registered version: shards, record and whose data its teacher saw, so that another site can distil without the teacher."""

from __future__ import annotations

from pathlib import Path

from data_contracts import KnowledgeRef, ModelRef, Ref, RegistryError, Role, TrainingManifest, load_record
from medkd.registry.interface import Publication, Registry
from medkd.registry.publish import TRAINING_MANIFEST, open_registry
from medkd.storage.manifest import pack_model
from medkd.storage.stage import stage
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace

RECORD = "knowledge.json"


@stage
def publish_knowledge(workspace: Workspace, recipe: str, teacher: ModelRef, knowledge: KnowledgeRef) -> ModelRef:
    """Register knowledge below the teacher it is of."""
    return register_knowledge(workspace, recipe, teacher, knowledge, open_registry(workspace))


def register_knowledge(workspace: Workspace, recipe: str, teacher: ModelRef, knowledge: KnowledgeRef, registry: Registry) -> ModelRef:
    """Register knowledge; the same knowledge gives the version that exists.

    Raises:
        RegistryError: ``KNOWLEDGE_FOREIGN`` when it is of another teacher.
    """
    if teacher.weights_digest != knowledge.teacher_digest:
        raise RegistryError(
            "KNOWLEDGE_FOREIGN",
            f"expected knowledge of {teacher.uri} ({teacher.weights_digest[:12]}), it is of {knowledge.teacher_digest[:12]}",
        )
    lineage = teacher.lineage
    record = knowledge.model_copy(update={"teacher": lineage})
    # Named by its content: everything in it is registered, and other knowledge, which a run before left, must not be.
    folder = workspace.root / "packages" / f"{recipe}-knowledge-{record.digest()[:12]}"
    manifest = TrainingManifest(cohorts=knowledge.cohorts, patients=knowledge.patients)
    shards = {f"shards/{Path(ref.key).name}": workspace.store.path(ref).read_bytes() for ref in knowledge.shards}
    pack_model(folder, {RECORD: record.canonical_json(), TRAINING_MANIFEST: manifest.canonical_json(), **shards})
    tags = {
        "medkd.teacher": str(lineage),
        "medkd.knowledge": knowledge.digest(),
        "medkd.use": "research only",
    }
    figures = {"entries": knowledge.entries, "bytes": knowledge.bytes, "raw_bytes": knowledge.raw_bytes, **knowledge.measured}
    return registry.register(
        Publication(
            name=f"{recipe}-knowledge",
            folder=folder,
            role=Role.KNOWLEDGE,
            weights_digest=knowledge.teacher_digest,
            tags=tags,
            params={"recipe": recipe, "views": str(knowledge.config.views), "cases": str(knowledge.cases)},
            metrics={name: float(value) for name, value in figures.items()},
            experiment=recipe,
        )
    )


def fetch_knowledge(workspace: Workspace, uri: str, registry: Registry | None = None) -> KnowledgeRef:
    """Bring registered knowledge into a workspace's store, every byte verified, and return its record.

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
    return record.model_copy(update={"shards": tuple(shards), "teacher": model.teacher or record.teacher})
