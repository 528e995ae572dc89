"""Released models put into a registry: every byte verified, each registered once, with its teacher as its lineage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medkd.registry.import_version import ImportedVersion, import_versions
from medkd.registry.interface import Registry
from medkd.released.released_models import ReleasedModel


@dataclass(frozen=True)
class InstalledModel:
    """A released model in a registry.

    Attributes:
        released: what was installed.
        versions: what it is called there, the student last.
    """

    released: ReleasedModel
    versions: tuple[ImportedVersion, ...]

    @property
    def uri(self) -> str:
        """Return the address of the student."""
        return self.versions[-1].model.uri

    @property
    def existed(self) -> bool:
        """Return whether it was there before."""
        return all(one.existed for one in self.versions)


def install_released(registry: Registry, wanted: Sequence[ReleasedModel]) -> tuple[InstalledModel, ...]:
    """Register released models, before one whose teacher another brings that other; what is there already stays as it is.

    Args:
        registry: that takes them in.
        wanted: of :func:`medkd.released.released_models.released_models`.

    Raises:
        RegistryError: ``EXPORT_ALTERED`` or ``VERSION_ALTERED`` naming the file of a model that is not what was released; nothing of that
            model is registered then.
    """
    done: list[InstalledModel] = []
    for one in wanted:
        if one.teacher is not None and one.teacher.name not in {other.released.name for other in done}:
            import_versions(registry, one.teacher.path)
        done.append(InstalledModel(one, import_versions(registry, one.path)))
    return tuple(done)
