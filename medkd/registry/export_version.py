"""A version with its lineage as one file: its bytes depend on the registry's contents alone."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from data_contracts import ExportedVersion, ManifestEntry, ModelRef, OutputError, RegistryError, RegistryExport, Role
from data_contracts.private import open_private
from data_contracts.record import partial_path
from medkd.registry.descent import descent
from medkd.registry.interface import KNOWLEDGE_TAG, Registry, VersionContents
from medkd.storage.store import sha256_file

#: Names in an export: its index, and the sha256 of the index.
INDEX, INDEX_DIGEST = "export.json", "export.sha256"
PACKAGE, SERVING, ATTACHED = "package", "serving", "attached"
SERVING_TAG = "medkd.serving_digest"
#: Begins of tags that speak of what stands beside a version, and of figures of its serving form.
_OF_BESIDE = (*(f"medkd.{name}" for name in ("explanation", "report", "inspection", "feedback", "drift_reference", "training_features")),)
_OF_FORM = "parity_"
_EPOCH = (2020, 1, 1, 0, 0, 0)


def export_version(registry: Registry, uri: str, file: Path, *, slim: bool = False, teachers: bool = True) -> RegistryExport:
    """Write a version, its teachers, their knowledge and what stands beside each to one zip, every byte verified, and return its index.

    MLflow's own files (``MLmodel``, environments) are not part of it: whoever takes it in writes them anew.

    Args:
        registry: that holds the version.
        uri: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        file: to write; it must not exist.
        slim: leave out what stands beside the versions (explanations, reports, feedback), the knowledge, and the serving forms of the
            teachers, which repeat their weights: to be handed on with the software, where megabytes count.
        teachers: whether what the version descends from goes with it; without, a registry that has its teacher by another way knows it by
            the digest of its manifest.

    Raises:
        OutputError: ``OUT_EXISTS``.
        RegistryError: ``VERSION_UNKNOWN``, or ``VERSION_ALTERED`` naming the file.
    """
    if os.path.lexists(file):
        raise OutputError("OUT_EXISTS", f"expected a file that does not exist yet, {file} does; name another one")
    model, _ = registry.fetch(uri)
    versions: list[ExportedVersion] = []
    paths: dict[str, Path] = {}
    line = descent(registry, model, registry.tags(model).get(KNOWLEDGE_TAG)) if teachers else (model,)
    wanted = [one for one in line if not (slim and one.role is Role.KNOWLEDGE and one != model)]
    for number, one in enumerate(wanted):
        contents, folder = registry.contents(one.uri), f"versions/{number}"
        contents = _slim(contents, served=one == model) if slim else contents
        paths |= {f"{folder}/{name}": path for name, path in _files_of(registry, one, contents)}
        versions.append(_exported(contents, folder))
    entries = {name: ManifestEntry(sha256=sha256_file(path), bytes=path.stat().st_size) for name, path in sorted(paths.items())}
    index = RegistryExport(versions=tuple(versions), files=entries)
    _write(file, index, paths)
    return index


def _slim(contents: VersionContents, *, served: bool) -> VersionContents:
    """Return a version without what stands beside it and, unless it is to be served, without its form and what was measured of that."""
    tags = {key: value for key, value in contents.tags.items() if not key.startswith(_OF_BESIDE) and (served or key != SERVING_TAG)}
    metrics = {name: value for name, value in contents.metrics.items() if served or not name.startswith(_OF_FORM)}
    return replace(contents, tags=tags, metrics=metrics, attached={})


def _exported(contents: VersionContents, folder: str) -> ExportedVersion:
    return ExportedVersion(
        model=contents.model,
        folder=folder,
        tags=dict(contents.tags),
        description=contents.description,
        params=dict(contents.params),
        metrics=dict(contents.metrics),
        history=tuple(dict(line) for line in contents.history),
    )


def _files_of(registry: Registry, model: ModelRef, contents: VersionContents) -> Iterator[tuple[str, Path]]:
    """Yield the files of a version by their names below its folder in the export."""
    _, package = registry.fetch(model.uri)
    yield from _below(PACKAGE, package)
    if SERVING_TAG in contents.tags:
        yield from _below(SERVING, package.with_name(SERVING))
    for place, digest in contents.attached.items():
        path = registry.fetch_attached(model.uri, place)
        if path is None or (digest and sha256_file(path) != digest):
            raise RegistryError(
                "VERSION_ALTERED",
                f"expected {place} beside {model.uri} with sha256 {digest[:12]}, the file is missing or altered; attach it again",
            )
        yield f"{ATTACHED}/{place}", path


def _below(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield f"{name}/{path.relative_to(folder).as_posix()}", path


def _write(file: Path, index: RegistryExport, paths: dict[str, Path]) -> None:
    """Write the zip by atomic rename, stored and not compressed: what it unpacks to is never more than what it is."""
    partial = partial_path(file)
    try:
        with open_private(partial) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(INDEX, _EPOCH), index.canonical_json())
            archive.writestr(zipfile.ZipInfo(INDEX_DIGEST, _EPOCH), index.digest())
            for name in index.files:
                with paths[name].open("rb") as source, archive.open(zipfile.ZipInfo(name, _EPOCH), "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, 2**20)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
