"""What earlier ingestions into a store found, by content: unchanged input is neither decoded nor judged again.

Written before the manifest, by atomic rename. It is a memory and no record: losing it costs time and changes no result. Reasons of refusals
name files, and those may be named after people: it lies in the quarantine.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from data_contracts import IngestCode, IngestError, IngestPolicy, MedkdError, SeriesRecord, StoreManifest, VolumeRef, load_record
from medkd.volumes.store import Store, write_bytes

#: Raised when the same files would give another result: what was remembered before is then forgotten.
INGESTION = 4
MANIFEST, MEMORY = "manifest.json", "quarantine/memory.json"


class Memory:
    """The memory of one store.

    Args:
        out: folder of the store.
        policy: of this run: another policy is another result.
    """

    def __init__(self, out: Path, policy: IngestPolicy) -> None:
        self._path = out / MEMORY
        self._store = Store(out)
        self._salt = f"{INGESTION}|{policy.digest()}"
        manifest = _read_manifest(out / MANIFEST)
        self.volumes: dict[str, VolumeRef] = {volume.series_key: volume for volume in manifest.volumes} if manifest else {}
        self.series: dict[str, SeriesRecord] = {record.series_key: record for record in manifest.series} if manifest else {}
        self._before: dict[str, Any] = _read_json(self._path)
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
        merged = {**self._before, **self._now}
        write_bytes(self._path, json.dumps(merged, sort_keys=True, default=str).encode())


def _read_manifest(path: Path) -> StoreManifest | None:
    try:
        return load_record(path, StoreManifest)
    except MedkdError:
        return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
