"""Which registered model is meant when none is named: the only one that there is."""

from __future__ import annotations

from data_contracts import Checkpoint, ModelRef, RegistryError, Role, TaskKind, load_record
from medkd.registry.interface import Registry


def only_segmentation_model(registry: Registry) -> str:
    """Return the URI of the only segmentation student of a registry, or of its only teacher where there is no student.

    Raises:
        RegistryError: ``MODEL_CHOICE`` when there is none or several; nothing is guessed.
    """
    models = [model for name in registry.names() for model in _segmenting(registry, name)]
    students = [model.uri for model in models if model.role is Role.STUDENT]
    found = students or [model.uri for model in models]
    if not found:
        raise RegistryError(
            "MODEL_CHOICE",
            f"expected a registered segmentation model, got {sorted(registry.names()) or 'no model'} in this run; name another with --run",
        )
    if len(found) > 1:
        listed = ", ".join(found)
        raise RegistryError("MODEL_CHOICE", f"expected one segmentation model, got {len(found)}; choose one with --model: {listed}")
    return found[0]


def _segmenting(registry: Registry, name: str) -> tuple[ModelRef, ...]:
    """Return the versions of a name if it segments: all versions of a name are of one recipe and so of one task."""
    versions = [model for model in registry.versions(name) if model.role is not Role.KNOWLEDGE]
    if not versions:
        return ()
    checkpoint = load_record(registry.fetch(versions[0].uri)[1] / "checkpoint.json", Checkpoint)
    return tuple(versions) if checkpoint.task.kind is TaskKind.SEGMENTATION else ()
