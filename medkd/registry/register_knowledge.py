"""Knowledge as a registered version: shards, record and whose data its teacher saw, so that another site can distil without the teacher."""

from __future__ import annotations

from pathlib import Path

from data_contracts import KnowledgeRef, ModelRef, RegistryError, Role, TrainingManifest
from medkd.registry.interface import TRAINING_MANIFEST, Publication, Registry
from medkd.storage.manifest import pack_model
from medkd.storage.workspace import Workspace

#: File of the version with what the knowledge is of and what was asked.
RECORD = "knowledge.json"


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
