"""Versions taken in from another registry: verified first, registered once, with the lineage they came with."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from data_contracts import Checkpoint, ExportedVersion, Lineage, ModelRef, load_record
from medkd.registry.export_version import PACKAGE, SERVING, SERVING_TAG
from medkd.registry.interface import FURTHER_TEACHERS_TAG, KNOWLEDGE_TAG, NO_KNOWLEDGE, Publication, Registry
from medkd.registry.open_export import attached_files, unpack_export
from medkd.serving.form import REQUIREMENTS, PackedForm, example_image

#: Tags that say where a version came from: what it was called there, and its teacher there.
IMPORTED, IMPORTED_TEACHER = "medkd.imported", "medkd.imported.teacher"
_TEACHER = "medkd.teacher"
#: Tags that registration sets itself, and begins of those that belong to what stands beside a version.
_OF_REGISTRATION = ("medkd.manifest_digest", "medkd.role", "medkd.weights_digest", SERVING_TAG, "medkd.logged_model", "medkd.mlflow_files")
_OF_ATTACHED = ("medkd.explanation", "medkd.report", "medkd.failed_explainers", "medkd.inspection", "medkd.feedback")


@dataclass(frozen=True)
class ImportedVersion:
    """A version that was taken in.

    Attributes:
        origin: what it was called where it came from.
        model: what it is called here.
        existed: it was registered here before.
    """

    origin: Lineage
    model: ModelRef
    existed: bool


def import_versions(registry: Registry, file: Path) -> tuple[ImportedVersion, ...]:
    """Take in every version of an export, each after those it descends from; one whose manifest is registered under its name stays as it is.

    Numbers of versions are given anew; ``medkd.teacher`` names the teacher as it is called here, and ``medkd.imported`` what each was
    called where it came from.

    Args:
        registry: that takes them in.
        file: written by :func:`medkd.registry.export_version.export_version`.

    Raises:
        RegistryError: as :func:`medkd.registry.open_export.unpack_export`; nothing is registered then.
    """
    done: list[ImportedVersion] = []
    with tempfile.TemporaryDirectory(prefix="medkd-import-") as scratch:
        index = unpack_export(file, Path(scratch))
        for version in index.versions:
            known = {one.origin: one.model.lineage for one in done}
            existed = version.model.manifest_digest in {one.manifest_digest for one in registry.versions(version.model.name)}
            model = registry.register(_publication(version, Path(scratch), known))
            _attach(registry, model, version, (Path(scratch), attached_files(index, version.folder)))
            done.append(ImportedVersion(version.model.lineage, model, existed))
    return tuple(done)


def _publication(version: ExportedVersion, scratch: Path, known: dict[Lineage, Lineage]) -> Publication:
    folder = scratch / version.folder
    tags = {key: value for key, value in version.tags.items() if key not in _OF_REGISTRATION and not key.startswith(_OF_ATTACHED)}
    tags.setdefault(IMPORTED, str(version.model.lineage))
    teacher = version.model.teacher
    if teacher is not None:
        tags |= {_TEACHER: str(known.get(teacher, teacher))}
        tags.setdefault(IMPORTED_TEACHER, str(teacher))
    if version.model.further_teachers:
        tags[FURTHER_TEACHERS_TAG] = " ".join(str(known.get(one, one)) for one in version.model.further_teachers)
    learned_from = tags.get(KNOWLEDGE_TAG, NO_KNOWLEDGE)
    if learned_from != NO_KNOWLEDGE:
        origin = Lineage.model_validate(learned_from)
        tags[KNOWLEDGE_TAG] = str(known.get(origin, origin))
    return Publication(
        name=version.model.name,
        folder=folder / PACKAGE,
        role=version.model.role,
        weights_digest=version.model.weights_digest,
        seed=int(version.tags.get("medkd.seed", "0")),
        tags=tags,
        params=version.params,
        metrics=version.metrics,
        history=version.history,
        description=version.description,
        form=(lambda: _packed(folder, version.tags[SERVING_TAG])) if SERVING_TAG in version.tags else None,
    )


def _packed(folder: Path, digest: str) -> PackedForm:
    """Return the serving form as it came; its parity with the network is among the figures that came with it."""
    task = load_record(folder / PACKAGE / "checkpoint.json", Checkpoint).task
    requirements = (folder / SERVING / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    return PackedForm(folder / SERVING, digest, tuple(requirements), example_image(task), {})


def _attach(registry: Registry, model: ModelRef, version: ExportedVersion, beside: tuple[Path, dict[str, str]]) -> None:
    """Put beside a version what stood beside it where it came from, unless it does already; tags that it has stay as they are."""
    scratch, files = beside
    there = registry.contents(model.uri)
    missing: dict[str, list[Path]] = {}
    for place, digest in files.items():
        if there.attached.get(place) != digest:
            missing.setdefault(Path(place).parent.as_posix(), []).append(scratch / version.folder / "attached" / place)
    tags = {key: value for key, value in version.tags.items() if key.startswith(_OF_ATTACHED) and key not in there.tags}
    registry.attach(model, missing, tags)
