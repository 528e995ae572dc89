"""Registered versions as one file that another registry takes in: what stands in its index."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from data_contracts.model import ManifestEntry, ModelRef
from data_contracts.record import Finite, FrozenModel, VersionedRecord


class ExportedVersion(FrozenModel):
    """One version of an export, with what stood beside it.

    Attributes:
        model: the version as its registry knew it: name, number and manifest digest.
        folder: of its files in the export; below it ``package``, ``serving`` where it has a serving form, and ``attached``.
        tags: as they stood in the registry it came from.
        description: Markdown.
        params: of its run.
        metrics: final figures.
        history: curves, a line per epoch, each with ``epoch``.
    """

    model: ModelRef
    folder: str = Field(pattern=r"^versions/\d{1,6}$")
    tags: dict[str, str]
    description: str = ""
    params: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, Finite] = Field(default_factory=dict)
    history: tuple[dict[str, Finite], ...] = ()


class RegistryExport(VersionedRecord):
    """A version, everything it descends from, and every file of them.

    Attributes:
        versions: each after those that it descends from; the last is the one that was asked for.
        files: sha256 and size of every other file of the export, by its name there.
    """

    SCHEMA: ClassVar[str] = "registry_export/1"
    versions: tuple[ExportedVersion, ...] = Field(min_length=1)
    files: dict[str, ManifestEntry]
