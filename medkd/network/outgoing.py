"""What is sent: the DICOM files of a folder, each whole and under an identifier of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_contracts import DataError, NetworkError, ResultSet, StoreError, load_record
from medkd.network.whole_dataset import identify_file, meta_of
from medkd.storage.output import require_source
from medkd.storage.store import sha256_file

#: Record of a set that was published by :mod:`medkd.results`.
_SET = "result_set.json"


@dataclass(frozen=True)
class OutgoingObject:
    """A file that is sent.

    Attributes:
        path: of it.
        sop_class_uid: its class.
        sop_instance_uid: its identifier.
        study_instance_uid: its study.
        transfer_syntax_uid: its encoding.
        sha256: of its bytes.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    sha256: str


def outgoing_objects(folder: Path) -> list[OutgoingObject]:
    """Return the objects of a folder in the order of their names: of a result set those that it lists, else every DICOM file below it.

    Raises:
        SourceError: as :func:`medkd.storage.output.require_source`.
        StoreError: ``RESULT_ALTERED`` when an object of a set is missing or not what was published.
        NetworkError: ``NOTHING_TO_SEND``; ``SEND_REPEATED`` when two files hold different objects of one identifier.
    """
    require_source(folder)
    found: dict[str, OutgoingObject] = {}
    for path in _listed(folder):
        one = _read(path)
        if one is None:
            continue
        known = found.setdefault(one.sop_instance_uid, one)
        if known.sha256 != one.sha256:
            raise NetworkError(
                "SEND_REPEATED",
                f"expected an identifier of its own for each object, {known.path.name} and {path.name} share {one.sop_instance_uid}",
            )
    if not found:
        raise NetworkError(
            "NOTHING_TO_SEND", f"expected DICOM files in {folder}, there are none; name a set that was published, or a folder of DICOM"
        )
    return list(found.values())


def _listed(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    record = folder / _SET
    if not record.is_file():
        return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    paths = []
    for one in load_record(record, ResultSet).objects:
        path = folder / Path(one.file).name
        if not path.is_file() or sha256_file(path) != one.sha256:
            raise StoreError(
                "RESULT_ALTERED", f"expected {one.file} of {folder.name} as it was published, it is missing or altered; publish it again"
            )
        paths.append(path)
    return paths


def _read(path: Path) -> OutgoingObject | None:
    try:
        found = identify_file(path)
        with path.open("rb") as stream:
            _, syntax = meta_of(stream.read(1 << 16))
    except (DataError, OSError, ValueError):  # no DICOM file, or one that breaks off: it is not sent
        return None
    return OutgoingObject(path, found.sop_class_uid, found.sop_instance_uid, found.study_instance_uid, syntax, sha256_file(path))
