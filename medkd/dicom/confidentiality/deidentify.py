"""De-identify a dataset: every attribute, at any depth, through the profile."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset, Sequence
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, UID_dictionary

from medkd.dicom.confidentiality.coded import TECHNICAL, kept_code, kept_codes, kept_technical, keyed_code
from medkd.dicom.confidentiality.dates import DateShift
from medkd.dicom.confidentiality.identifiers import SHORTEST_NUMBER, collect_identifiers, elements_of, plain_number, values_of
from medkd.dicom.confidentiality.profile import EDITION, Treatment, treat
from medkd.dicom.confidentiality.scan_words import ETHNIC_GROUPS
from medkd.dicom.confidentiality.secret import keyed_number, pseudonym
from medkd.dicom.confidentiality.technical import TECHNICAL_TEXTS, technical_text
from medkd.dicom.confidentiality.words import clean_name, clean_text, standard_meanings, tokens_of
from medkd.dicom.raw_values import text_of
from medkd.dicom.transfer_syntax import transfer_syntax

#: A class of objects that is younger than the dictionary has a UID of this form.
_CLASS_UID = re.compile(r"1\.2\.840\.10008\.(?:[0-9]{1,4}\.){1,9}[0-9]{1,4}")
#: Names of structures, which words of anatomy are made of.
_NAMES = frozenset({"SegmentLabel", "ROIName"})
_CODE_PARTS = frozenset({"CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion"})
_NUMBER = re.compile(r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$")
#: Ages above this are given as this: the very old are few enough to be found.
OLDEST_YEARS = 90
#: What takes the place of a text that must have one.
PLACEHOLDERS = frozenset({"Removed", "REMOVED"})
_IMPLEMENTATION = UID("2.25.294210917236310861953142390271645510427")
_METHODS = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
CLEAN_PIXELS = ("113101", "Clean Pixel Data Option")
_METHOD = f"medkd, {EDITION}"
#: What every object says of its de-identification.
OWN_SENTENCES = frozenset({_METHOD, CLEAN_PIXELS[1], *(meaning for _, meaning in _METHODS)})


@dataclass
class Deidentified:
    """A de-identified dataset.

    Attributes:
        dataset: new; the original is not touched.
        originals: identifying values of the original with the keyword they stood under; none may be found in what is written.
        uids: new UID → UID of the original that it stands for.
        shift: days by which dates were moved, and seconds by which times were moved besides.
    """

    dataset: Dataset
    originals: dict[str, str] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    shift: tuple[int, float] = (0, 0.0)


def deidentify(dataset: Dataset, secret: bytes) -> Deidentified:
    """Return a copy of a dataset without what identifies anybody.

    Args:
        dataset: object with file meta information.
        secret: key of pseudonyms, UIDs and dates: the same over a cohort keeps its objects together.
    """
    identifiers = collect_identifiers(dataset)
    patient = text_of(dataset, "PatientID") or text_of(dataset, "StudyInstanceUID")
    walk = _Walk(secret, patient, text_of(dataset, "StudyTime"), identifiers.words)
    result = walk.dataset(dataset)
    result.SpecificCharacterSet = "ISO_IR 192"
    result.PatientIdentityRemoved = "YES"
    result.DeidentificationMethod = _METHOD
    result.DeidentificationMethodCodeSequence = Sequence([method_code(*method) for method in _METHODS])
    result.LongitudinalTemporalInformationModified = "MODIFIED"
    result.file_meta = walk.file_meta(dataset)
    result.preamble = b"\0" * 128
    return Deidentified(result, identifiers.originals, walk.uids, walk.shift.amount)


def method_code(value: str, meaning: str) -> Dataset:
    """Return an item of the De-identification Method Code Sequence (PS3.16 CID 7050)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


class _Walk:
    """One object's way through the profile."""

    def __init__(self, secret: bytes, patient: str, study_time: str, forbidden: frozenset[str]) -> None:
        self.secret, self.patient = secret, patient
        self.shift, self.study_time = DateShift(secret, patient), study_time
        self.forbidden = forbidden
        self.uids: dict[str, str] = {}
        self._treatments: dict[Treatment, Callable[[DataElement, Dataset], Any]] = {
            Treatment.KEEP: self._keep,
            Treatment.EMPTY: lambda *_: "",
            Treatment.DUMMY: self._dummy,
            Treatment.UID: self._uid,
            Treatment.DATE: self._date,
            Treatment.CLEAN: self._clean,
            Treatment.KEY: self._key,
            Treatment.CHARACTERISTIC: self._characteristic,
            Treatment.RECURSE: self._sequence,
        }

    def dataset(self, dataset: Dataset) -> Dataset:
        """Return the treated copy of a dataset or item."""
        result = Dataset()
        for element in elements_of(dataset):
            kept = self._treated(element, dataset)
            if kept is None:
                continue
            if element.tag.group == 0x7FE0:
                kept.is_undefined_length = element.is_undefined_length
            result[element.tag] = kept
        return result

    def _treated(self, element: DataElement, dataset: Dataset) -> DataElement | None:
        """Return what is kept of an element, None where nothing is; what cannot be treated is not copied."""
        act = self._treatments.get(treat(element.tag, element.VR))
        try:
            value = None if act is None else act(element, dataset)
            return None if value is None else DataElement(element.tag, element.VR, value, already_converted=element.VR == "SQ")
        except Exception:
            return None

    def file_meta(self, dataset: Dataset) -> FileMetaDataset:
        """Return file meta information made anew."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = UID(text_of(dataset, "SOPClassUID"))
        meta.MediaStorageSOPInstanceUID = UID(self._new_uid(text_of(dataset, "SOPInstanceUID")))
        meta.TransferSyntaxUID = transfer_syntax(dataset)
        meta.ImplementationClassUID, meta.ImplementationVersionName = _IMPLEMENTATION, "MEDKD"
        return meta

    def _new_uid(self, uid: str) -> str:
        standard = uid in UID_dictionary or _CLASS_UID.fullmatch(uid) is not None
        if standard or not uid:
            return uid
        new = f"2.25.{keyed_number(self.secret, 'uid', uid)}"
        self.uids[new] = uid
        return new

    def _sequence(self, element: DataElement, _: Dataset) -> Sequence | None:
        return Sequence([self.dataset(item) for item in element.value or ()])

    def _uid(self, element: DataElement, _: Dataset) -> Any:
        values = [self._new_uid(str(value).strip("\0 ")) for value in values_of(element)]
        return values if len(values) != 1 else values[0]

    def _keep(self, element: DataElement, dataset: Dataset) -> Any:
        values = values_of(element)
        if element.VR == "CS":
            coded = kept_codes(element.keyword, [str(value) for value in values], self.forbidden)
            if coded is None:
                return self._instead(element)
            return coded if len(coded) != 1 else coded[0]
        if element.keyword in _CODE_PARTS:
            part = kept_code(element.keyword, str(values[0]), str(dataset.get("CodingSchemeDesignator", "")), self.secret)
            if element.keyword == "CodeValue" and part is not None and tokens_of(part) & self.forbidden:
                return keyed_code(self.secret, part)
            return None if part is None or tokens_of(part) & self.forbidden else part
        if element.VR in ("SH", "LO"):
            technical = [self._technical(element.keyword, str(value)) for value in values]
            return (technical if len(technical) != 1 else technical[0]) if any(technical) else None
        if element.VR not in ("DS", "IS"):
            return element.value
        fits = all(str(value) == "" or _NUMBER.match(str(value)) for value in values)
        # A number that repeats an identifier (a series numbered like its patient), or is a part of one, is one.
        numbers = [plain_number(str(value)) for value in values]
        spoken = any(len(number) >= SHORTEST_NUMBER and number in self.forbidden for number in numbers)
        return element.value if fits and not spoken else None

    def _technical(self, keyword: str, value: str) -> str:
        """Return what may stay of a short technical text: of a form of its own, or made of words that are known."""
        whole = kept_technical(keyword, value) if keyword in TECHNICAL else None
        if whole is not None and not tokens_of(whole) & self.forbidden:
            return whole
        return technical_text(keyword, value, self.forbidden) if keyword in TECHNICAL_TEXTS else ""

    def _instead(self, element: DataElement) -> str | None:
        """Return what stands for a coded string that is no term, where the object needs one."""
        if element.keyword == "ContentLabel":
            return clean_text(str(element.value), self.forbidden).upper().replace(" ", "_")[:16].rstrip("_") or "REMOVED"
        return {"Modality": "OT"}.get(element.keyword)

    def _dummy(self, element: DataElement, _: Dataset) -> Any:
        return {"PN": "Removed", "LO": "REMOVED", "SH": "REMOVED", "ST": "REMOVED", "LT": "REMOVED", "UT": "REMOVED", "UC": "REMOVED"}.get(
            element.VR
        )

    def _date(self, element: DataElement, dataset: Dataset) -> Any:
        shifted = [self._moved(element, str(value), dataset) for value in values_of(element)]
        if any(value is None for value in shifted):
            return None
        return shifted if len(shifted) != 1 else shifted[0]

    def _moved(self, element: DataElement, value: str, dataset: Dataset) -> str | None:
        if not value.strip():
            return ""
        if element.VR == "DT":
            return self.shift.datetime(value)
        # A date without a time of its own moves as if taken when the study was: dates of one day stay one day.
        other = _partner(element, dataset) or (self.study_time if element.VR == "DA" else None)
        if other:
            date, time = (value, other) if element.VR == "DA" else (other, value)
            both = self.shift.pair(date, time)
            if both is not None:
                return both[0] if element.VR == "DA" else both[1]
        return self.shift.date(value) if element.VR == "DA" else self.shift.time(value)

    def _clean(self, element: DataElement, _: Dataset) -> Any:
        values = []
        for value in map(str, values_of(element)):
            whole = element.keyword == "CodeMeaning" and value in standard_meanings() and not tokens_of(value) & self.forbidden
            clean = clean_name if element.keyword in _NAMES else clean_text
            values.append(value if whole else clean(value, self.forbidden))
        return values if len(values) != 1 else values[0]

    def _key(self, element: DataElement, _: Dataset) -> Any:
        return pseudonym(self.secret, "patient", self.patient) if str(element.value or "") else ""

    def _characteristic(self, element: DataElement, _: Dataset) -> Any:
        return characteristic(element.keyword, element.value)


def characteristic(keyword: str, value: Any) -> Any:
    """Return a characteristic of the patient when it is one, None when it could be anything else."""
    text = str(value if value is not None else "").strip().upper()
    if keyword == "PatientAge":
        match = re.match(r"^(\d{3})([DWMY])$", text)
        if match is None:
            return None
        return f"{min(int(match[1]), OLDEST_YEARS):03d}Y" if match[2] == "Y" else text
    if keyword == "EthnicGroup":
        return value if text.lower() in ETHNIC_GROUPS else None
    allowed = {
        "PatientSex": {"F", "M", "O", ""},
        "SmokingStatus": {"YES", "NO", "UNKNOWN"},
        "PatientSexNeutered": {"ALTERED", "UNALTERED"},
        "PregnancyStatus": {"1", "2", "3", "4"},
    }.get(keyword)
    if allowed is not None:
        return value if text in allowed else None
    return value if _NUMBER.match(text) and 0 < float(text) < 1000 else None


def _partner(element: DataElement, dataset: Dataset) -> str | None:
    """Return the time that belongs to a date, or the date that belongs to a time, where there is exactly one."""
    keyword = keyword_for_tag(element.tag)
    ends = ("Date", "Time") if element.VR == "DA" else ("Time", "Date")
    if not keyword.endswith(ends[0]):
        return None
    other = dataset.get(keyword[: -len(ends[0])] + ends[1])
    return str(other) if other and isinstance(other, str) else None
