"""What earlier ingestions into a store found, by content: unchanged input is neither decoded nor judged again.

Written before the manifest, by atomic rename. It is a memory and no record: losing it costs time and changes no result. Reasons of refusals
name files, and those may be named after people: it lies in the quarantine.

Memory and manifest are written with a digest. A memory that was altered is not believed: everything is judged again. A manifest that
was altered is refused: it alone says what a store holds, of other sources too.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from data_contracts import (
    IngestCode,
    IngestError,
    IngestPolicy,
    LabelRef,
    SeriesRecord,
    StoreError,
    StoreManifest,
    VolumeRef,
    load_record,
)
from data_contracts.record import PARTIAL
from medkd.dicom.confidentiality.names import clean_class_label, clean_segments
from medkd.storage.stage import references
from medkd.storage.store import Store, write_bytes

#: Raised when the same files would give another result: what was remembered before is then forgotten.
INGESTION = 5
_VERSION = "ingestion"
MANIFEST, MEMORY = "manifest.json", "quarantine/memory.json"
#: Digest of the manifest.
SEAL = ".medkd-manifest"
_FOLDERS = ("volumes", "labels")
_LOG = logging.getLogger("medkd")


class IngestCache:
    """The memory of one store.

    Args:
        out: folder of the store.
        policy: of this run: another policy is another result.

    Raises:
        StoreError: ``MANIFEST_ALTERED`` as :func:`read_manifest`.
    """

    def __init__(self, out: Path, policy: IngestPolicy) -> None:
        self._path = out / MEMORY
        self._store = Store(out)
        self._salt = f"{INGESTION}|{policy.digest()}"
        manifest = read_manifest(out) if (out / MANIFEST).is_file() else None
        self.volumes: dict[str, VolumeRef] = {volume.series_key: volume for volume in manifest.volumes} if manifest else {}
        self.series: dict[str, SeriesRecord] = {record.series_key: record for record in manifest.series} if manifest else {}
        self._before: dict[str, Any] = _read_memory(self._path)
        if self._before.get(_VERSION) != INGESTION:
            # What an earlier version remembered may hold names that were not cleaned then, and would never be asked for again.
            self._before = {}
            self.volumes = {key: _cleaned(volume) for key, volume in self.volumes.items()}
        self._now: dict[str, Any] = {}

    def content(self, digests: list[str]) -> str:
        """Return the digest of a set of files under this policy."""
        return hashlib.sha256("|".join([self._salt, *sorted(digests)]).encode()).hexdigest()

    def recall_volume(self, key: str, content: str) -> VolumeRef | None:
        """Return the stored volume of the same files, when its bytes are whole.

        Raises:
            IngestError: the same files were refused before.
        """
        refusal = self.recall(f"refusal:{content}")
        if refusal is not None:
            raise IngestError(IngestCode(refusal["code"]), refusal["message"], refusal["evidence"])
        volume = self.volumes.get(key)
        if volume is None or self.recall(f"volume:{key}") != content or not self._store.verify(volume.array):
            return None
        return volume

    def recall(self, name: str) -> Any:
        """Return what was remembered under a name, and keep it."""
        if name not in self._now and name in self._before:
            self._now[name] = self._before[name]
        return self._now.get(name)

    def keep(self, name: str, value: Any) -> None:
        """Remember something for the next run."""
        self._now[name] = value

    def keep_refusal(self, content: str, error: IngestError) -> None:
        """Remember that these files were refused."""
        self.keep(f"refusal:{content}", {"code": error.ingest_code.value, "message": error.message, "evidence": error.evidence})

    def write(self) -> None:
        """Write everything remembered in this run, and what earlier runs knew of other sources."""
        merged = {**self._before, **self._now, _VERSION: INGESTION}
        known = json.dumps(merged, sort_keys=True, default=str)
        write_bytes(self._path, json.dumps({"known": json.loads(known), "sha256": _digest(known)}, sort_keys=True).encode())


def write_manifest(out: Path, manifest: StoreManifest) -> None:
    """Write the manifest of a store, and beside it the digest that :func:`read_manifest` compares.

    The digest goes first and the one before stays in force until the manifest is there: whenever the process is killed, they fit.
    """
    seal, digest = out / SEAL, manifest.digest()
    before = _sealed(seal)
    if before or not (out / MANIFEST).is_file():  # a manifest of an earlier version has no digest until it is replaced
        write_bytes(seal, "\n".join([digest, *(one for one in before if one != digest)]).encode())
    manifest.write(out / MANIFEST)
    write_bytes(seal, digest.encode())


def read_manifest(out: Path) -> StoreManifest:
    """Return the manifest of a store; files among its volumes and labels that it does not list are named in the log, and nothing reads them.

    Raises:
        StoreError: ``MANIFEST_ALTERED`` when it is not what was written.
        ContractError: ``CONTRACT_MISSING`` when there is none.
    """
    path = out / MANIFEST
    sealed = _sealed(out / SEAL)
    if path.is_file() and sealed and hashlib.sha256(path.read_bytes()).hexdigest() not in sealed:
        raise StoreError(
            "MANIFEST_ALTERED",
            f"expected {path} as it was written, its digest is another one: it was altered; put it back from a copy, or ingest into another folder",
        )
    manifest = load_record(path, StoreManifest)
    listed = {ref.key for ref in references(manifest)}
    added = [
        name
        for folder in _FOLDERS
        for name in sorted(f"{folder}/{one.name}" for one in (out / folder).glob("*"))
        if name not in listed and not name.endswith(PARTIAL)
    ]
    if added:
        _LOG.warning("not of the store %s, and not read: %s%s", out, ", ".join(added[:5]), f" and {len(added) - 5} more" * (len(added) > 5))
    return manifest


def _sealed(path: Path) -> list[str]:
    """Return the digests that a manifest may have; none where an earlier version wrote it."""
    try:
        return path.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return []


def _cleaned(volume: VolumeRef) -> VolumeRef:
    """Return a volume whose labels' names are words of anatomy: of sources that do not come again nobody else would clean them."""

    def label(one: LabelRef) -> LabelRef:
        return one.model_copy(update={"segments": clean_segments(one.segments, None, one.source, ())[0]})

    own, known = volume.label, clean_class_label(volume.class_label, ())
    return volume.model_copy(
        update={
            "label": None if own is None else label(own),
            "further_labels": tuple(label(one) for one in volume.further_labels),
            "class_label": known,
        }
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read_memory(path: Path) -> dict[str, Any]:
    """Return what was remembered; nothing where there is no memory, it is of an earlier version, or it was altered."""
    if not path.is_file():
        return {}
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        known: dict[str, Any] = held["known"]
        if held["sha256"] == _digest(json.dumps(known, sort_keys=True)):
            return known
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    _LOG.warning("MEMORY_ALTERED: expected %s as this version writes it, it is another one; everything is judged again", path)
    return {}
