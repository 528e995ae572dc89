"""What happens to an attribute: Table E.1-1 of DICOM PS3.15 as a total function, closed-world.

The Basic Application Level Confidentiality Profile with the options Retain Longitudinal Temporal Information with Modified Dates, Clean
Descriptors, and Retain Patient Characteristics. The table itself comes from the package dicom-anonymizer (edition 2026c); what it does
not name is kept only when it is a number, a code or a picture that the standard's dictionary knows. Free text, names and bytes that no
rule allows are removed: what nobody thought of does not leave the site.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.tag import BaseTag, Tag

from medkd.dicom.confidentiality.coded import TECHNICAL
from medkd.dicom.confidentiality.technical import TECHNICAL_TEXTS


class Treatment(StrEnum):
    """What is done to an attribute."""

    KEEP = "keep"
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    UID = "uid"
    DATE = "date"
    CLEAN = "clean"
    KEY = "key"
    RECURSE = "recurse"
    CHARACTERISTIC = "characteristic"


#: Edition of the table.
EDITION = "PS3.15 2026c"
_NUMBERS = frozenset({"US", "SS", "UL", "SL", "FL", "FD", "UV", "SV", "AT", "DS", "IS"})
_CODES = frozenset({"CS"})
_TEMPORAL = frozenset({"DA", "DT", "TM"})
_BYTES = frozenset({"OB", "OW", "OF", "OD", "OL", "OV"})
#: Bytes that are pictures or look-up tables: groups 0028 and 7FE0. All others may be documents.
_PICTURE_GROUPS = frozenset({0x0028, 0x7FE0})
_KEYS = frozenset({"PatientName", "PatientID"})
#: Option Retain Patient Characteristics, as far as values can be checked: free text about the patient goes.
CHARACTERISTICS = frozenset(
    {"PatientSex", "PatientAge", "PatientSize", "PatientWeight", "SmokingStatus", "PregnancyStatus", "PatientSexNeutered", "EthnicGroup"}
)
#: Dates of birth and death say who, not when.
_NEVER_DATES = frozenset(
    {
        "PatientBirthDate",
        "PatientBirthTime",
        "PatientBirthDateInAlternativeCalendar",
        "PatientDeathDateInAlternativeCalendar",
        "LastMenstrualDate",
    }
)
#: Option Clean Descriptors: of these, words of a vocabulary stay.
DESCRIPTORS = frozenset(
    {
        "StudyDescription",
        "SeriesDescription",
        "ProtocolName",
        "PerformedProcedureStepDescription",
        "RequestedProcedureDescription",
        "AcquisitionProtocolDescription",
        "DerivationDescription",
        "ImageComments",
        "ContrastBolusAgent",
        "SegmentLabel",
        "SegmentDescription",
        "ROIName",
        "ROIDescription",
        "StructureSetLabel",
        "WindowCenterWidthExplanation",
        "LUTExplanation",
        "ContentDescription",
        "CodeMeaning",
        "Manufacturer",
    }
)
#: Short technical texts whose values are drawn from lists that name nobody; checked for their form.
_CODE_PARTS = frozenset({"CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion"})
_TECHNICAL = _CODE_PARTS | TECHNICAL | frozenset(TECHNICAL_TEXTS)
#: Sequences that the table removes, but without which images and labels lose each other: their UIDs are remapped instead.
_CARRIERS = frozenset({"ReferencedImageSequence", "SourceImageSequence"})


@cache
def _listed() -> dict[BaseTag, str]:
    """Return tag → action letters of the table."""
    names = ("D", "Z", "X", "U", "Z_D", "X_Z", "X_D", "X_Z_D", "X_Z_U_STAR")
    return {Tag(entry[0], entry[1]): name for name in names for entry in getattr(table, f"{name}_TAGS") if len(entry) == 2}


def listed_tags() -> tuple[BaseTag, ...]:
    """Return the attributes of the table that are not whole groups."""
    return tuple(sorted(_listed()))


@cache
def treat(tag: BaseTag, vr: str) -> Treatment:
    """Return what happens to an attribute, the same at any depth of nesting."""
    if tag.is_private or tag.element == 0 or _repeating(tag) or not dictionary_has_tag(tag):
        return Treatment.REMOVE
    keyword, action = keyword_for_tag(tag), _listed().get(tag)
    if keyword in _KEYS:
        return Treatment.KEY
    if keyword in CHARACTERISTICS:
        return Treatment.CHARACTERISTIC
    if vr == "SQ":
        return Treatment.RECURSE if action is None or keyword in _CARRIERS else Treatment.REMOVE
    if keyword in _NEVER_DATES:
        return Treatment.EMPTY if action == "Z" else Treatment.REMOVE
    if vr in _TEMPORAL:
        return Treatment.DATE
    if vr == "UI":
        return Treatment.UID
    if keyword in DESCRIPTORS:
        return Treatment.CLEAN
    if action is not None:
        return {"Z": Treatment.EMPTY, "Z_D": Treatment.EMPTY, "D": Treatment.DUMMY}.get(action, Treatment.REMOVE)
    if vr in _NUMBERS or vr in _CODES or (vr in _BYTES and tag.group in _PICTURE_GROUPS) or keyword in _TECHNICAL:
        return Treatment.KEEP
    return Treatment.REMOVE


def _repeating(tag: BaseTag) -> bool:
    """Return whether a tag lies in a group of curves or overlays: both may draw text."""
    return tag.group & 0xFF00 in (0x5000, 0x6000)


def is_identifying(tag: BaseTag, vr: str) -> bool:
    """Return whether the original value of an attribute must not be found in what is written.

    Values that the table lists and that are removed, replaced or keyed; descriptors are not (their allowed words stay), nor are times of
    day (six digits occur anywhere).
    """
    treatment = treat(tag, vr)
    if vr in ("PN", "DA", "DT") or treatment in (Treatment.KEY, Treatment.UID):
        return True
    text = vr in ("LO", "SH", "ST", "LT", "UT", "UC", "UR", "AE")
    return text and tag in _listed() and treatment in (Treatment.REMOVE, Treatment.EMPTY, Treatment.DUMMY)
