"""What the rest of medkd asks of a registry, and the package that a version consists of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from data_contracts import ManifestEntry, ModelManifest, ModelRef, RegistryError, Role, load_record
from data_contracts.record import PARTIAL
from medkd.storage.store import sha256_file, write_bytes

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Publication:
    """A packed model and what is said of it.

    Attributes:
        name: registered model name.
        folder: files of the version, ``manifest.json`` included.
        tags: lineage tags (digests, teacher, role).
        role: what it is.
        weights_digest: sha256 of what makes it what it is: weights, or the question that knowledge answers.
        seed: of the training.
        params: parameters of the run.
        metrics: final figures.
        history: journal lines of training, each with ``epoch``.
    """

    name: str
    folder: Path
    role: Role
    weights_digest: str
    seed: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: tuple[Mapping[str, float], ...] = ()


@dataclass(frozen=True)
class LoggedRun:
    """A run to be shown in a tracking server: one arm of an experiment, or the experiment itself with its files.

    Attributes:
        name: of the run.
        metrics: final figures.
        params: short texts.
        history: lines with ``epoch``, drawn as curves.
        files: what is kept beside it.
    """

    name: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Mapping[str, float], ...] = ()
    files: tuple[Path, ...] = ()


class Registry(Protocol):
    """Versions in, verified versions out. Registering the same manifest twice gives the version that exists."""

    def register(self, publication: Publication) -> ModelRef:
        """Register a package and return its version; the same manifest is never registered twice."""
        ...

    def fetch(self, uri: str) -> tuple[ModelRef, Path]:
        """Return a version by ``models:/name/version`` and the folder of its files, every byte verified."""
        ...

    def versions(self, name: str) -> tuple[ModelRef, ...]:
        """Return all versions of a name, oldest first; none of a name that is not registered."""
        ...

    def names(self) -> tuple[str, ...]:
        """Return the registered names, in order."""
        ...

    def attach(self, model: ModelRef, files: Mapping[str, Path], tags: Mapping[str, str]) -> None:
        """Add artefacts (explanations, reports) beside a version and set tags on it."""
        ...

    def log_experiment(self, digest: str, parent: LoggedRun, arms: Sequence[LoggedRun]) -> None:
        """Show an experiment as a run with a run below it per arm; the same digest is shown once."""
        ...


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


def unknown_version(uri: str, known: Mapping[str, Sequence[int]]) -> RegistryError:
    """Return the error of a version that does not exist; it lists those that there are (``known``: name → versions)."""
    name = parse_uri(uri)[0]
    if known.get(name):
        there = f"{name} has the versions {', '.join(map(str, sorted(known[name])))}"
    else:
        held = [f"{other} ({', '.join(map(str, sorted(numbers)))})" for other, numbers in sorted(known.items()) if numbers]
        more = f" and {len(held) - 20} more names" if len(held) > 20 else ""
        there = f"no {name} is; there are {', '.join(held[:20])}{more}" if held else "none is registered here"
    return RegistryError("VERSION_UNKNOWN", f"expected a registered version, {uri} does not exist in this registry: {there}")


def parse_uri(uri: str) -> tuple[str, int]:
    """Return name and version of ``models:/name/version``."""
    name, _, version = uri.removeprefix("models:/").rpartition("/")
    if not uri.startswith("models:/") or not name or not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise RegistryError("MODEL_URI", f"expected a model URI models:/NAME/VERSION, got {uri!r}")
    return name, int(version)


def canonical(payload: Mapping[str, object]) -> bytes:
    """Return indented, sorted JSON for files a person may read."""
    return (json.dumps(payload, indent=1, sort_keys=True) + "\n").encode()
