"""What a version descends from: its teacher, the teacher's teacher, and the knowledge that was extracted of them."""

from __future__ import annotations

from typing import Protocol

from data_contracts import ModelRef, RegistryError, Role


class VersionList(Protocol):
    """What versions there are: a registry, or a list that was read from one."""

    def names(self) -> tuple[str, ...]:
        """Return the registered names, in order."""
        ...

    def versions(self, name: str) -> tuple[ModelRef, ...]:
        """Return all versions of a name, oldest first."""
        ...


def resolve_teacher(registry: VersionList, model: ModelRef) -> ModelRef | None:
    """Return the registered teacher of a version; None where it has none, or none with that manifest is registered here.

    The manifest digest decides: numbers of versions differ from registry to registry.
    """
    lineage = model.teacher
    if lineage is None:
        return None
    return next((one for one in registry.versions(lineage.name) if one.manifest_digest == lineage.manifest_digest), None)


def teacher_chain(registry: VersionList, model: ModelRef) -> tuple[ModelRef, ...]:
    """Return the teachers of a version that are registered here, the nearest first.

    Raises:
        RegistryError: ``LINEAGE_CIRCULAR`` where a version would be its own teacher.
    """
    chain: list[ModelRef] = []
    current = resolve_teacher(registry, model)
    while current is not None:
        if current in chain or current == model:
            raise RegistryError(
                "LINEAGE_CIRCULAR", f"expected a teacher above {model.uri}, {current.uri} stands above itself; look at its tags"
            )
        chain.append(current)
        current = resolve_teacher(registry, current)
    return tuple(chain)


def knowledge_of(registry: VersionList, teacher: ModelRef) -> tuple[ModelRef, ...]:
    """Return the registered knowledge that was extracted of a teacher, by name and version."""
    versions = (one for name in registry.names() for one in registry.versions(name))
    return tuple(
        one
        for one in versions
        if one.role is Role.KNOWLEDGE and one.teacher is not None and one.teacher.manifest_digest == teacher.manifest_digest
    )


def descent(registry: VersionList, model: ModelRef) -> tuple[ModelRef, ...]:
    """Return everything registered here that a version may descend from, each after what it descends from, and the version last.

    A version does not say from which knowledge of its teacher it learned, so all of it counts.
    """
    chain = teacher_chain(registry, model)
    found: list[ModelRef] = []
    for teacher in reversed(chain):
        found.append(teacher)
        found += [one for one in knowledge_of(registry, teacher) if one != model]
    return (*found, model)
