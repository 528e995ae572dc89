"""What a DICOM object is, and whether anything can be verified about it."""

from __future__ import annotations

from enum import StrEnum

from pydicom import Dataset
from pydicom.uid import RTDoseStorage, RTStructureSetStorage, SecondaryCaptureImageStorage, SegmentationStorage

from data_contracts import CODES, Action, IngestCode, IngestError
from medkd.dicom.findings import Findings
from medkd.dicom.raw_values import has, raw_int, raw_text


class ObjectKind(StrEnum):
    """Kinds that ingestion goes on with."""

    IMAGE = "image"
    PICTURE = "picture"
    SEGMENTATION = "segmentation"
    STRUCTURE_SET = "structure_set"
    NIFTI = "nifti"


#: Codes whose files are set aside as not meant for us; every other refusal is quarantined.
IGNORED_CODES = frozenset(code for code, fact in CODES.items() if fact.default is Action.IGNORE)
LABELMAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
_MULTI_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7."
#: Storage classes of single pictures: CR, DX, mammography and intra-oral radiographs for presentation and processing; ultrasound, its cine
#: and their retired forms. Enhanced ultrasound volumes and tomosynthesis are none: they state the place of each frame.
_RADIOGRAPHS = frozenset(f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1"))
ULTRASOUND = frozenset(f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("3", "3.1", "6", "6.1"))
#: Storage classes of projections: CR, DX, mammography, intra-oral, XA, RF, and their enhanced kin.
_PROJECTIONS = ("1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.12")
_IDENTITY = {"PatientID": 0x00100020, "StudyInstanceUID": 0x0020000D, "SeriesInstanceUID": 0x0020000E, "SOPInstanceUID": 0x00080018}
#: Modalities whose pictures usually carry text: without a statement that they do not, they are taken to.
_TEXT_MODALITIES = frozenset({"US", "ES", "XC", "GM", "SM", "OP", "OT", "IVUS"})


def classify(header: Dataset, findings: Findings) -> ObjectKind:
    """Return the kind of an object.

    Raises:
        IngestError: with the code of the first reason why it is neither a provable image, nor a picture, nor a label.
    """
    sop_class = raw_text(header, 0x00080016)
    if not sop_class and has(header, "Rows"):
        complete = all(has(header, keyword) for keyword in ("Modality", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
        message = "expected an SOP class, the header has none"
        findings.resolve(IngestCode.MISSING_SOP_CLASS, message, {"complete": complete}, repairable=complete)
    if sop_class in (SegmentationStorage, LABELMAP_STORAGE):
        return ObjectKind.SEGMENTATION
    if sop_class == RTStructureSetStorage:
        return ObjectKind.STRUCTURE_SET
    if sop_class == RTDoseStorage:
        raise IngestError(IngestCode.NON_IMAGE_SOP, f"expected an image, the object is a dose distribution ({sop_class})")
    captured = sop_class == SecondaryCaptureImageStorage or sop_class.startswith(_MULTI_SECONDARY_CAPTURE)
    if captured:
        message = f"expected an acquired image, got a secondary capture ({sop_class})"
        findings.resolve(IngestCode.SECONDARY_CAPTURE, message, {"sop_class": sop_class}, repairable=False)
    if not has(header, "Rows") or not has(header, "Columns"):
        raise IngestError(
            IngestCode.NON_IMAGE_SOP, f"expected an image, the object (SOP class {sop_class or 'missing'}) has no rows and columns"
        )
    # Slices of a swept ultrasound have a place in space, and are a volume as those of CT are.
    if captured or (sop_class in _RADIOGRAPHS | ULTRASOUND and not has(header, "ImagePositionPatient")):
        _require_identity(header, findings)
        return ObjectKind.PICTURE
    _require_provable(header, sop_class, findings)
    return ObjectKind.IMAGE


def _require_provable(header: Dataset, sop_class: str, findings: Findings) -> None:
    samples = raw_int(header, 0x00280002, 1)
    if samples != 1:
        raise IngestError(IngestCode.COLOUR_UNSUPPORTED, f"expected one sample per pixel, got {samples}", {"samples": samples})
    if "LOCALIZER" in raw_text(header, 0x00080008).upper().split("\\"):
        raise IngestError(IngestCode.LOCALIZER, "a localizer belongs to no volume")
    projection = sop_class == _PROJECTIONS[0] or sop_class.startswith(tuple(f"{p}." for p in _PROJECTIONS))
    if projection and not has(header, "ImagePositionPatient"):
        raise IngestError(IngestCode.PROJECTION, f"expected an image with a place in space, a projection ({sop_class}) has none")
    _judge_text(header, findings)
    _require_identity(header, findings)


def _require_identity(header: Dataset, findings: Findings) -> None:
    missing = [keyword for keyword, tag in _IDENTITY.items() if not raw_text(header, tag)]
    if missing:
        only = missing == ["PatientID"]
        message = f"expected a value of {missing[0]}, slices cannot be kept together without"
        if only:
            message = (
                "expected a value of PatientID, none names the person; the policy may let StudyInstanceUID stand for it (--policy repair)"
            )
        evidence = {"missing": missing, **({"derived_from": ["StudyInstanceUID"]} if only else {})}
        findings.resolve(IngestCode.PATIENT_ID_MISSING, message, evidence, repairable=only)


def _judge_text(header: Dataset, findings: Findings) -> None:
    """Act on burned-in text as the header states it, or as the modality makes likely. Source: PS3.3 C.7.6.1.1 (0028,0301)."""
    stated = raw_text(header, 0x00280301).upper()
    if states_text(stated, raw_text(header, 0x00080060)):
        # Text in a volume is not blanked: that would be a hole in an anatomy. Pictures are judged by their pixels (`blank_pictures`).
        findings.resolve(
            IngestCode.BURNED_IN_TEXT, "expected pixels without text", {"stated": "YES" if stated == "YES" else "nothing"}, repairable=False
        )


def states_text(stated: str, modality: str) -> bool:
    """Return whether an image has to be taken to carry text: it says so, or says nothing and is of a kind that usually does."""
    return stated == "YES" or (stated != "NO" and modality in _TEXT_MODALITIES)
