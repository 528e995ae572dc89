"""What the store keeps of a series: read from its de-identified header, never from the original one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from pydicom import Dataset

from data_contracts import Coordinate, SeriesRecord, VolumeRef
from medkd.dicom.confidentiality.deidentify import deidentify
from medkd.dicom.series_words import acquisition_words

#: Of a series that is one volume.
NOTHING: Mapping[str, Coordinate] = MappingProxyType({})
_YEARS = re.compile(r"^(\d{3})Y$")


def describe_series(
    volume: VolumeRef, header: Dataset, secret: bytes, acquisition_key: str = "", coordinates: Mapping[str, Coordinate] = NOTHING
) -> SeriesRecord:
    """Return what may be stored of a series: its keys and facts that name nobody (sex, age in years up to 90).

    An allow-list behind an allow-list: dates and free text, even cleaned, stay behind. ``acquisition_key`` is what tells the series from others at
    the same positions, ``coordinates`` the same for programs (:mod:`medkd.dicom.coordinates`).
    """
    # Facts are read of what the profile leaves: an attribute that somebody adds below cannot leak.
    clean = deidentify(header, secret).dataset
    age = _YEARS.match(str(clean.get("PatientAge", "")))
    return SeriesRecord(
        patient_key=volume.patient_key,
        study_key=volume.study_key,
        series_key=volume.series_key,
        frame_of_reference_key=volume.frame_of_reference_key,
        modality=volume.modality,
        slices=volume.geometry.shape[0],
        volume_digest=volume.array.sha256,
        flags=volume.flags,
        sex=str(clean.get("PatientSex", "")),
        age_years=int(age.group(1)) if age else None,
        acquisition=acquisition_words(header, clean, acquisition_key),
        coordinates=dict(coordinates),
    )
