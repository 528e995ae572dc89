"""What a re-identification vault holds: whose study a published one is, and who asked."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from data_contracts.record import Finite, Key, Sha256, VersionedRecord

#: A DICOM UID (PS3.5 9.1).
Uid = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]


class VaultEntry(VersionedRecord):
    """One published study and what it was before. Stored encrypted only.

    Attributes:
        study: its StudyInstanceUID as published.
        patient_key: its PatientID as published.
        attributes: original attributes of patient and study, in the DICOM JSON Model (PS3.18 Annex F).
        uids: published UID → original UID, of everything in the study: study, series, instances, frames of reference, references.
        shift_days: by how many days its dates were moved.
        shift_seconds: by how many seconds its times were moved besides.
    """

    SCHEMA: ClassVar[str] = "vault_entry/1"
    study: Uid
    patient_key: Key
    attributes: str
    uids: dict[Uid, Uid]
    shift_days: int
    shift_seconds: Finite


class VaultEvent(VersionedRecord):
    """One line of a vault's log; ``previous`` is the digest of the line before.

    Attributes:
        at: when, in UTC, to the second.
        who: the user of the system who asked.
        what: whether entries were recorded or read, or the key was changed.
        studies: published StudyInstanceUIDs that it was about; a vault's log names nobody.
        why: for what entries were read, or the fingerprint of the new key.
        previous: digest of the line before, None of the first.
    """

    SCHEMA: ClassVar[str] = "vault_event/1"
    at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    who: str
    what: Literal["recorded", "read", "rotated"]
    studies: tuple[str, ...] = ()
    why: str = ""
    previous: Sha256 | None = None
