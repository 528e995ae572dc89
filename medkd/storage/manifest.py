"""Folders that are verified whole: every file is listed with its sha256 in a manifest that is written last."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from data_contracts import ManifestEntry, ModelManifest, RegistryError, load_record
from data_contracts.record import PARTIAL
from medkd.storage.store import sha256_file, write_bytes

MANIFEST = "manifest.json"


def pack_model(folder: Path, files: Mapping[str, bytes]) -> str:
    """Write the files of a version and its manifest last; return the manifest's digest."""
    for left in folder.rglob(f"*{PARTIAL}"):
        left.unlink(missing_ok=True)  # of a process that was killed as it wrote
    for name, payload in files.items():
        write_bytes(folder / name, payload)
    entries = {
        name: ManifestEntry(sha256=hashlib.sha256(payload).hexdigest(), bytes=len(payload)) for name, payload in sorted(files.items())
    }
    manifest = ModelManifest(files=entries)
    manifest.write(folder / MANIFEST)
    return manifest.digest()


def verify_folder(folder: Path, expected: str) -> ModelManifest:
    """Verify a version's folder against the digest its registry holds: nothing is missing, altered or added.

    Raises:
        RegistryError: ``VERSION_ALTERED``, naming the first file that is missing, differs, or is not of the version.
    """
    if not (folder / MANIFEST).is_file():
        raise RegistryError("VERSION_ALTERED", f"expected {MANIFEST} in the files of the version, it is missing; register the model again")
    manifest = load_record(folder / MANIFEST, ModelManifest)
    if manifest.digest() != expected:
        raise RegistryError(
            "VERSION_ALTERED", f"expected manifest digest {expected[:12]}, {MANIFEST} has {manifest.digest()[:12]}: it was altered"
        )
    for name, entry in manifest.files.items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != entry.sha256:
            raise RegistryError("VERSION_ALTERED", f"expected {name} with sha256 {entry.sha256[:12]}, the file is missing or altered")
    listed = {MANIFEST, *manifest.files}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in listed and (path.is_symlink() or not path.is_dir()):
            raise RegistryError("VERSION_ALTERED", f"expected the {len(listed)} files that were registered, {name} was added; remove it")
    return manifest
