"""An export opened safely: every name and byte is judged before anything is taken in."""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
from pathlib import Path, PurePosixPath

from data_contracts import ContractError, RegistryError, RegistryExport, read_record
from data_contracts.private import open_private
from medkd.registry.export_version import ATTACHED, INDEX, INDEX_DIGEST, PACKAGE, SERVING, SERVING_TAG
from medkd.storage.manifest import verify_folder

#: Bytes of an index; one of ten thousand files has two million.
_MOST_INDEX_BYTES = 64 * 2**20
_CHUNK = 2**20
#: Names that a registered model may have: they are parts of URIs and of folders.
_NAME = r"[A-Za-z0-9][A-Za-z0-9._ -]{0,199}"


def unpack_export(file: Path, folder: Path) -> RegistryExport:
    """Unpack an export below a folder, every byte verified against its index, and return the index.

    Raises:
        RegistryError: ``EXPORT_UNREADABLE``, ``EXPORT_UNSAFE`` for paths that leave the folder and files that are larger than they should be,
            ``EXPORT_ALTERED`` naming the file that was altered, added or left out; ``VERSION_ALTERED`` where a version is not what its
            digests say.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename: info for info in archive.infolist()}
            _require_safe(archive.infolist(), file.stat().st_size)
            index = _read_index(archive, members)
            _require_complete(index, set(members))
            for name, entry in index.files.items():
                _unpack(archive, members[name], folder / name, (entry.sha256, entry.bytes))
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:  # RuntimeError: behind a password
        raise RegistryError(
            "EXPORT_UNREADABLE", f"expected an export of medkd at {file}, it cannot be read ({error}); export it again"
        ) from error
    for version in index.versions:
        place = folder / version.folder
        verify_folder(place / PACKAGE, version.model.manifest_digest)
        if SERVING_TAG in version.tags:
            verify_folder(place / SERVING, version.tags[SERVING_TAG])
    return index


def attached_files(index: RegistryExport, folder: str) -> dict[str, str]:
    """Return the sha256 of the files that stood beside a version, by their places."""
    begin = f"{folder}/{ATTACHED}/"
    return {name.removeprefix(begin): entry.sha256 for name, entry in index.files.items() if name.startswith(begin)}


def _require_safe(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse names that leave the folder, links, names given twice, and members that would unpack to more than the file holds."""
    seen: set[str] = set()
    for info in members:
        name, parts = info.filename, PurePosixPath(info.filename)
        leaves = parts.is_absolute() or ".." in parts.parts or "\\" in name or ":" in name or "\0" in name
        if leaves or info.is_dir() or stat.S_ISLNK(info.external_attr >> 16) or name != parts.as_posix():
            raise RegistryError("EXPORT_UNSAFE", f"expected files inside the export, got {name!r}; do not import it")
        if name in seen:
            raise RegistryError("EXPORT_UNSAFE", f"expected each file once, {name} is there twice; do not import it")
        seen.add(name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise RegistryError(
                "EXPORT_UNSAFE", f"expected files as medkd packs them, {name} is compressed; take the file that was exported"
            )
    total = sum(info.file_size for info in members)
    if total > size:
        raise RegistryError(
            "EXPORT_UNSAFE", f"expected a file of its contents' size, {size} bytes would unpack to {total}; do not import it"
        )


def _read_index(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> RegistryExport:
    for name in (INDEX, INDEX_DIGEST):
        if name not in members or members[name].file_size > _MOST_INDEX_BYTES:
            raise RegistryError("EXPORT_UNREADABLE", f"expected {name} in the export, it is missing or too large; export it again")
    payload = _read(archive, INDEX)
    if hashlib.sha256(payload).hexdigest().encode() != _read(archive, INDEX_DIGEST):
        raise _altered(INDEX)
    try:
        index = read_record(payload, RegistryExport)
    except ContractError as error:
        raise RegistryError(
            "EXPORT_UNREADABLE", f"expected an index that this medkd reads, {error}; update medkd, or export it again"
        ) from error
    odd = next((one.model.name for one in index.versions if not re.fullmatch(_NAME, one.model.name)), None)
    if odd is not None:
        raise RegistryError("EXPORT_UNSAFE", f"expected names of letters, digits, '.', '_', '-', got {odd!r}; do not import it")
    return index


def _require_complete(index: RegistryExport, names: set[str]) -> None:
    listed = {INDEX, INDEX_DIGEST, *index.files}
    if names != listed:
        name = min(names ^ listed)
        how = "was added" if name in names else "is missing"
        raise RegistryError("EXPORT_ALTERED", f"expected the {len(listed)} files that were exported, {name} {how}; export it again")


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, expected: tuple[str, int]) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with archive.open(info) as source, open_private(target) as sink:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                sink.write(chunk)
    except zipfile.BadZipFile as error:
        raise _altered(info.filename) from error
    if (digest.hexdigest(), size) != expected:
        raise _altered(info.filename)


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except zipfile.BadZipFile as error:
        raise _altered(name) from error


def _altered(name: str) -> RegistryError:
    return RegistryError("EXPORT_ALTERED", f"expected {name} as it was exported, it was altered; export it again")
