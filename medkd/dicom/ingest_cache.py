"""What earlier ingestions into a store found, by content: unchanged input is neither decoded nor judged again.

Written before the manifest, by atomic rename. It is a memory and no record: losing it costs time and changes no result. Reasons of refusals
name files, and those may be named after people: it lies in the quarantine.

Memory and manifest are written with a digest, and a store holds no volume or label that its manifest does not list. A memory that was altered is not believed: everything is judged again. A manifest that
was altered is refused: it alone says what a store holds, of other sources too.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from data_contracts import IngestCode, IngestError, IngestPolicy, LabelRef, SeriesRecord, StoreError, StoreManifest, VolumeRef
from data_contracts.private import private_folder
from data_contracts.record import PARTIAL
from medkd.dicom.confidentiality.class_label import clean_class_label
from medkd.dicom.confidentiality.earlier_names import clean_segments
from medkd.storage.references import references
from medkd.storage.sealed import load_sealed, write_sealed
from medkd.storage.store import Store, write_bytes

#: Raised when the same files would give another result: what was remembered before is then forgotten.
INGESTION = 7
_VERSION = "ingestion"
MANIFEST, MEMORY = "manifest.json", "quarantine/memory.json"
#: There while an ingestion writes, and after one that was killed; and where files go that no manifest lists.
UNFINISHED, UNLISTED = ".medkd-ingesting", "quarantine/unlisted"
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
        manifest = _load_manifest(out) if (out / MANIFEST).is_file() else None
        self._out, self._listed = out, frozenset() if manifest is None else frozenset(ref.key for ref in references(manifest))
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

    @property
    def remembered(self) -> dict[str, Any]:
        """Return what this run remembers so far, by name."""
        return self._now

    def keep_refusal(self, content: str, error: IngestError) -> None:
        """Remember that these files were refused."""
        self.keep(f"refusal:{content}", {"code": error.ingest_code.value, "message": error.message, "evidence": error.evidence})

    def begin(self) -> None:
        """Note that volumes and labels are being written: readers wait for no manifest that lists them."""
        write_bytes(self._out / UNFINISHED, b"")

    def finish(self, manifest: StoreManifest) -> None:
        """Write the manifest last; what the one before listed and this one does not is removed, what neither does is moved aside."""
        write_sealed(manifest, self._out / MANIFEST)
        for name in _unlisted(self._out, manifest):
            if name in self._listed:
                (self._out / name).unlink()
                continue
            place = self._out / UNLISTED / name
            private_folder(place.parent)
            (self._out / name).replace(place)
            _LOG.warning("STORE_ALTERED: %s of %s was in no manifest; it lies in %s now", name, self._out, UNLISTED)
        (self._out / UNFINISHED).unlink(missing_ok=True)

    def write(self) -> None:
        """Write everything remembered in this run, and what earlier runs knew of other sources."""
        merged = {**self._before, **self._now, _VERSION: INGESTION}
        known = json.dumps(merged, sort_keys=True, default=str)
        write_bytes(self._path, json.dumps({"known": json.loads(known), "sha256": _digest(known)}, sort_keys=True).encode())


def read_manifest(out: Path) -> StoreManifest:
    """Return the manifest of a store.

    Raises:
        StoreError: ``MANIFEST_ALTERED`` when it is not what was written, ``STORE_ALTERED`` when files lie among volumes and labels that it
            does not list. While an ingestion is under way, or after one was killed, those are named in the log, and nothing reads them.
        ContractError: ``CONTRACT_MISSING`` when there is none.
    """
    manifest = _load_manifest(out)
    added = _unlisted(out, manifest)
    if not added:
        return manifest
    named = ", ".join(added[:5]) + f" and {len(added) - 5} more" * (len(added) > 5)
    if not (out / UNFINISHED).is_file():
        raise StoreError(
            "STORE_ALTERED",
            f"expected in {out} the files that its manifest lists, {named} was added; remove it, or ingest again, which moves it to {UNLISTED}",
        )
    _LOG.warning("an ingestion into %s is under way or was ended early; not of its manifest, and not read: %s", out, named)
    return manifest


def _load_manifest(out: Path) -> StoreManifest:
    return load_sealed(out / MANIFEST, StoreManifest, code="MANIFEST_ALTERED", mend="ingest into another folder")


def _unlisted(out: Path, manifest: StoreManifest) -> list[str]:
    """Return what lies among the volumes and labels of a store and is not in its manifest."""
    listed = {ref.key for ref in references(manifest)}
    found = (f"{folder}/{one.name}" for folder in _FOLDERS for one in sorted((out / folder).glob("*")))
    # A download of somebody's that is under way is nothing that a reader would take for a volume, and not ours to move.
    return [name for name in found if name not in listed and not name.endswith((PARTIAL, ".partial"))]


def _cleaned(volume: VolumeRef) -> VolumeRef:
    """Return a volume whose labels' names are words of anatomy: of sources that do not come again nobody else would clean them."""

    def label(one: LabelRef) -> LabelRef:
        return one.model_copy(update={"segments": clean_segments(one.segments, one.source)})

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
