"""Keyed pseudonyms: what leaves ingestion instead of identifiers."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
from pathlib import Path

from pydicom import Dataset

from data_contracts import SeriesRecord, VolumeRef

_LOG = logging.getLogger("medkd")
_LENGTH = 16
_AGE = re.compile(r"^(\d{3})Y$")


def pseudonym(secret: bytes, kind: str, identifier: str) -> str:
    """Return a key for an identifier: HMAC-SHA256 over kind and identifier, 16 hex digits behind the kind's first letter.

    The same secret gives the same key, so that a patient's studies stay together; without the secret it cannot be inverted
    or recomputed from a list of names.
    """
    digest = hmac.new(secret, f"{kind}\0{identifier}".encode(), hashlib.sha256).hexdigest()
    return f"{kind[0]}{digest[:_LENGTH]}"


#: Ages above this are given as this: the very old are few enough to be found.
OLDEST_YEARS = 90


def describe_series(volume: VolumeRef, header: Dataset) -> SeriesRecord:
    """Return what may be stored of a series: its keys and facts that name nobody (sex, age in years up to 90).

    An allow-list: everything else in the header, dates and free text first of all, stays behind.
    """
    sex = str(header.get("PatientSex", "")).strip().upper()
    age = _AGE.match(str(header.get("PatientAge", "")).strip())
    return SeriesRecord(
        patient_key=volume.patient_key,
        study_key=volume.study_key,
        series_key=volume.series_key,
        frame_of_reference_key=volume.frame_of_reference_key,
        modality=volume.modality,
        slices=volume.geometry.shape[0],
        volume_digest=volume.array.sha256,
        flags=volume.flags,
        sex=sex if sex in {"F", "M", "O"} else "",
        age_years=min(int(age.group(1)), OLDEST_YEARS) if age else None,
    )


def site_secret() -> bytes:
    """Return the site's secret: ``MEDKD_SECRET``, or a 0600 file in the user's state folder, made once with a warning."""
    given = os.environ.get("MEDKD_SECRET")
    if given:
        return given.encode()
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "medkd" / "secret"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(32))
        _LOG.warning("made a new pseudonym secret at %s: keep a copy, keys made with another secret cannot be matched", path)
    return path.read_bytes().strip()
