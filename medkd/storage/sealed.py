"""Records that alone say what a folder holds, written with a digest beside them: what was altered is refused by name when it is read."""

from __future__ import annotations

import hashlib
from pathlib import Path

from data_contracts import StoreError, VersionedRecord, load_record
from data_contracts.record import RecordType
from medkd.storage.store import write_bytes


def seal_of(path: Path) -> Path:
    """Return where the digest of a record lies."""
    return path.with_name(f".medkd-{path.stem}")


def write_sealed(record: VersionedRecord, path: Path) -> Path:
    """Write a record, and beside it the digest that :func:`load_sealed` compares.

    The digest goes first and the one before stays in force until the record is there: whenever the process is killed, they fit.
    """
    seal, digest = seal_of(path), record.digest()
    before = _digests(seal)
    if before or not path.is_file():  # a record of an earlier version has no digest until it is replaced
        write_bytes(seal, "\n".join([digest, *(one for one in before if one != digest)]).encode())
    record.write(path)
    write_bytes(seal, digest.encode())
    return path


def load_sealed(
    path: Path, expected: type[RecordType], *, code: str = "RECORD_ALTERED", mend: str = "run again what wrote it"
) -> RecordType:
    """Return a record that was written with a digest; one of an earlier version has none.

    Args:
        path: of the record.
        expected: its class.
        code: of the refusal.
        mend: what to do, in words.

    Raises:
        StoreError: ``code`` when it is not what was written.
        ContractError: ``CONTRACT_MISSING`` when there is none, or as ``load_record``.
    """
    sealed = _digests(seal_of(path))
    if path.is_file() and sealed and hashlib.sha256(path.read_bytes()).hexdigest() not in sealed:
        raise StoreError(
            code, f"expected {path} as it was written, its digest is another one: it was altered; put it back from a copy, or {mend}"
        )
    return load_record(path, expected)


def _digests(seal: Path) -> list[str]:
    """Return the digests that a record may have; none where an earlier version wrote it."""
    try:
        return seal.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return []
