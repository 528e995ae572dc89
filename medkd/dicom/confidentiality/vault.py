"""The re-identification vault: what a published study was before, encrypted, inside the hospital, and off unless it is asked for.

A folder with one encrypted file per published study (``studies/STUDY-UID.vault``: AES and HMAC by Fernet), a log of every use and, in ``keys.json``,
fingerprints of the keys that it was written with. The key itself lies elsewhere (``vault_key``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import InvalidToken
from pydicom import Dataset

from data_contracts import VaultEntry, VaultError, VaultEvent, read_record
from medkd.dicom.confidentiality.vault_key import (
    cipher_of,
    fingerprint,
    key_file,
    make_keys,
    new_key,
    read_keys,
    require_key_apart,
    write_keys,
)
from medkd.dicom.confidentiality.vault_log import VaultLog
from medkd.storage.output import VAULT, claim, kind_of
from medkd.storage.run_lock import LOCK, locked
from medkd.storage.store import write_bytes

_STUDIES, _KEYS = "studies", "keys.json"
_WAIT_S = 60.0
_UID = re.compile(r"[0-9.]{1,64}")
#: Attributes of the modules Patient and General Study (PS3.3 C.7.1.1, C.7.2.1) that results carry and de-identification takes away.
ATTRIBUTES = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "PatientBirthDate", "PatientBirthTime"),
    *(
        "PatientSex",
        "OtherPatientIDsSequence",
        "OtherPatientNames",
        "EthnicGroup",
        "PatientComments",
        "StudyInstanceUID",
        "StudyID",
        "StudyDate",
    ),
    *("StudyTime", "StudyDescription", "AccessionNumber", "IssuerOfAccessionNumberSequence", "ReferringPhysicianName", "PatientAge"),
    *("PatientSize", "PatientWeight", "AdmissionID"),
)


@dataclass(frozen=True)
class Original:
    """What a vault keeps of one object.

    Attributes:
        study: its StudyInstanceUID as published.
        patient_key: its PatientID as published.
        header: the original object.
        uids: published UID → original UID, of everything in it.
        shift: days and seconds by which its dates moved.
    """

    study: str
    patient_key: str
    header: Dataset
    uids: dict[str, str]
    shift: tuple[int, float]


def original_attributes(header: Dataset) -> str:
    """Return what a vault keeps of a header, in the DICOM JSON Model."""
    kept = Dataset()
    for keyword in ("SpecificCharacterSet", *ATTRIBUTES):
        if keyword in header:
            kept[keyword] = header[keyword]
    return json.dumps(kept.to_json_dict(suppress_invalid_tags=True), sort_keys=True, ensure_ascii=False)


class Vault:
    """An open vault: :func:`open_vault`. Its holder is the only one who uses it meanwhile."""

    def __init__(self, folder: Path, key_path: Path, keys: Sequence[str]) -> None:
        self.folder, self._key_path, self._keys = folder, key_path, tuple(keys)
        self._cipher = cipher_of(keys)
        self.log = VaultLog(folder, self._cipher)

    def record(self, originals: Sequence[Original]) -> None:
        """Keep what the objects of one published study were, beside what is kept of it already.

        Raises:
            VaultError: ``VAULT_ALTERED`` where what is kept already cannot be trusted, ``VAULT_LOG_ALTERED``.
        """
        first = originals[0]
        known = self._read(first.study) if self._path(first.study).is_file() else None
        uids = dict(known.uids) if known else {}
        for one in originals:
            uids |= one.uids
        entry = VaultEntry(
            study=first.study,
            patient_key=first.patient_key,
            attributes=original_attributes(first.header),
            uids=uids,
            shift_days=first.shift[0],
            shift_seconds=first.shift[1],
        )
        if entry == known:
            return
        self.log.append("recorded", (first.study,))
        write_bytes(self._path(first.study), self._cipher.encrypt(entry.canonical_json()))

    def read(self, studies: Sequence[str], why: str) -> dict[str, VaultEntry]:
        """Return the entries of published studies, after the log says that they were read.

        Args:
            studies: StudyInstanceUIDs as published.
            why: what for; it must name nobody.

        Raises:
            VaultError: ``VAULT_ENTRY_MISSING``, ``VAULT_ALTERED`` or ``VAULT_LOG_ALTERED``.
        """
        wanted = list(dict.fromkeys(studies))
        missing = [study for study in wanted if not _UID.fullmatch(study) or not self._path(study).is_file()]
        if missing:
            raise VaultError(
                "VAULT_ENTRY_MISSING",
                f"expected the study {missing[0]} in the vault, it holds none of {len(missing)}: was it de-identified at this site with --vault?",
            )
        self.log.append("read", wanted, why)
        return {study: self._read(study) for study in wanted}

    def rotate(self) -> int:
        """Encrypt everything with a new key and forget the old one; a rotation that was cut short is finished. Return how many entries there are.

        Raises:
            VaultError: ``VAULT_ALTERED`` where an entry cannot be decrypted: nothing is forgotten then.
        """
        self.log.read()
        if len(self._keys) == 1:
            self._adopt([new_key(), *self._keys])
        paths = sorted((self.folder / _STUDIES).glob("*.vault"))
        for path in paths:
            self._decrypted(path)
            write_bytes(path, self._cipher.rotate(path.read_bytes()))
        self.log.seal()
        self.log.append("rotated", (), fingerprint(self._keys[0]))
        self._adopt(self._keys[:1])
        return len(paths)

    def _adopt(self, keys: Sequence[str]) -> None:
        """Go on with other keys; the file with the keys is written before anything is encrypted with them."""
        write_keys(self._key_path, keys)
        write_bytes(self.folder / _KEYS, _fingerprints(keys))
        self._keys, self._cipher = tuple(keys), cipher_of(keys)
        self.log = VaultLog(self.folder, self._cipher)

    def _path(self, study: str) -> Path:
        return self.folder / _STUDIES / f"{study}.vault"

    def _read(self, study: str) -> VaultEntry:
        path = self._path(study)
        entry = read_record(self._decrypted(path), VaultEntry)
        if entry.study != study:
            raise _altered(path, "it holds another study")
        return entry

    def _decrypted(self, path: Path) -> bytes:
        try:
            return self._cipher.decrypt(path.read_bytes())
        except InvalidToken as error:
            raise _altered(path, "it cannot be decrypted with the vault's key") from error


@contextmanager
def open_vault(folder: Path, *, make: bool = False) -> Iterator[Vault]:
    """Open a vault for its use by this process alone.

    Args:
        folder: of the vault.
        make: make a vault, and the site's key, where there is none.

    Raises:
        VaultError: ``VAULT_MISSING`` where there is none; ``VAULT_KEY_WRONG`` where it was written with another key; otherwise as
            :func:`medkd.dicom.confidentiality.vault_key.read_keys` and ``require_key_apart``.
        OutputError: where the folder is not ours or is in use by another process.
    """
    path = key_file()
    require_key_apart(path, folder)
    held = folder / _KEYS
    if not make and kind_of(folder) != VAULT:
        raise VaultError("VAULT_MISSING", f"expected a vault at {folder}, there is none; medkd deidentify --vault makes one")
    if make:
        claim(folder, VAULT)
    with locked(folder / LOCK, wait_s=_WAIT_S):
        if make and not held.is_file():
            write_bytes(held, _fingerprints(make_keys(path)))
        keys = read_keys(path)
        if not {fingerprint(key) for key in keys} & _known(held):
            raise VaultError(
                "VAULT_KEY_WRONG", f"expected the key that {folder} was written with, {path} is another; put the vault's own key there"
            )
        yield Vault(folder, path, keys)


def _fingerprints(keys: Sequence[str]) -> bytes:
    return json.dumps({"keys": [fingerprint(key) for key in keys]}).encode()


def _known(path: Path) -> set[str]:
    try:
        return set(json.loads(path.read_bytes())["keys"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _altered(path, "it cannot be read") from error


def read_log(folder: Path) -> list[VaultEvent]:
    """Return the log of a vault, verified; to look at it is no use of an entry and is not written down."""
    with open_vault(folder) as vault:
        return vault.log.read()


def _altered(path: Path, how: str) -> VaultError:
    return VaultError("VAULT_ALTERED", f"expected {path.name} of the vault as it was written, {how}: restore it from a copy of the vault")
