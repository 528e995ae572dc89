"""What a version descends from: its teacher, the teacher's teacher, and the knowledge that was extracted of them."""

from __future__ import annotations

from typing import Protocol

from data_contracts import Lineage, ModelRef, RegistryError, Role
from medkd.registry.interface import NO_KNOWLEDGE


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
    return None if model.teacher is None else resolve(registry, model.teacher)


def resolve(registry: VersionList, lineage: Lineage) -> ModelRef | None:
    """Return the version registered here that a lineage names; None where there is none with its manifest."""
    return next((one for one in registry.versions(lineage.name) if one.manifest_digest == lineage.manifest_digest), None)


def teachers_of(model: ModelRef) -> tuple[Lineage, ...]:
    """Return all teachers of a version, in the order of its arm."""
    return () if model.teacher is None else (model.teacher, *model.further_teachers)


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


def knowledge_behind(registry: VersionList, teacher: ModelRef, learned_from: str | None) -> tuple[ModelRef, ...]:
    """Return the registered knowledge of a teacher that a student of it learned from.

    Args:
        registry: that holds the versions.
        teacher: of the student.
        learned_from: what the student's tag says (:data:`medkd.registry.interface.KNOWLEDGE_TAG`); None of a version that does not say: then
            all knowledge of its teacher counts.
    """
    known = knowledge_of(registry, teacher)
    if learned_from is None:
        return known
    if learned_from == NO_KNOWLEDGE:
        return ()
    digest = Lineage.model_validate(learned_from).manifest_digest
    return tuple(one for one in known if one.manifest_digest == digest)


def descent(registry: VersionList, model: ModelRef, learned_from: str | None = None) -> tuple[ModelRef, ...]:
    """Return everything registered here that a version descends from, each after what it descends from, and the version last.

    Args:
        registry: that holds the versions.
        model: the version.
        learned_from: as of :func:`knowledge_behind`. Of its teacher's teachers all knowledge counts.
    """
    chain = teacher_chain(registry, model)
    found: list[ModelRef] = []
    for lineage in (lineage for one in (*reversed(chain), model) for lineage in one.further_teachers):
        further = resolve(registry, lineage)
        # With all that it descends from: an assistant has a teacher of its own.
        found += [] if further is None else [one for one in descent(registry, further, NO_KNOWLEDGE) if one not in found]
    for teacher in reversed(chain):
        found += [teacher] if teacher not in found else []
        of_teacher = knowledge_behind(registry, teacher, learned_from) if teacher == chain[0] else knowledge_of(registry, teacher)
        found += [one for one in of_teacher if one not in (*found, model)]
    return (*found, model)
