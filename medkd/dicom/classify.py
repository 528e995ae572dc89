"""What a DICOM object is, and whether this version can prove anything about it."""

from __future__ import annotations

from enum import StrEnum

from pydicom import Dataset
from pydicom.uid import RTStructureSetStorage, SecondaryCaptureImageStorage, SegmentationStorage

from data_contracts import IngestCode, IngestError


class ObjectKind(StrEnum):
    """Kinds that ingestion goes on with."""

    IMAGE = "image"
    SEGMENTATION = "segmentation"


#: Codes whose files are set aside as not meant for us; every other refusal is quarantined.
IGNORED_CODES = frozenset({IngestCode.LOCALIZER, IngestCode.NON_IMAGE_SOP, IngestCode.DICOMDIR_SKIPPED, IngestCode.DUPLICATE_FILE})
_MULTI_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7."


def classify(header: Dataset) -> ObjectKind:
    """Return the kind of an object.

    Raises:
        IngestError: with the code of the first reason why it is neither a provable slice nor a segmentation.
    """
    sop_class = str(header.get("SOPClassUID", ""))
    if not sop_class:
        raise IngestError(IngestCode.MISSING_SOP_CLASS, "expected an SOP class, the header has none")
    if sop_class == SegmentationStorage:
        return ObjectKind.SEGMENTATION
    if sop_class == RTStructureSetStorage:
        raise IngestError(IngestCode.LABEL_UNSUPPORTED, "expected a DICOM SEG as label, got an RT structure set")
    if sop_class == SecondaryCaptureImageStorage or sop_class.startswith(_MULTI_SECONDARY_CAPTURE):
        raise IngestError(IngestCode.SECONDARY_CAPTURE, "expected an acquired image, got a secondary capture")
    if "Rows" not in header or "Columns" not in header:
        raise IngestError(IngestCode.NON_IMAGE_SOP, "expected an image, the object has no rows and columns")
    _require_provable(header)
    return ObjectKind.IMAGE


def _require_provable(header: Dataset) -> None:
    if int(header.get("SamplesPerPixel", 1) or 1) != 1:
        raise IngestError(IngestCode.COLOUR_UNSUPPORTED, "expected one sample per pixel", {"samples": int(header.SamplesPerPixel)})
    if "LOCALIZER" in [str(part).upper() for part in header.get("ImageType", None) or ()]:
        raise IngestError(IngestCode.LOCALIZER, "a localizer belongs to no volume")
    if int(header.get("NumberOfFrames", 1) or 1) > 1 or "SharedFunctionalGroupsSequence" in header:
        raise IngestError(IngestCode.ENHANCED_UNSUPPORTED, "expected single-frame slices, got a multi-frame object")
    for keyword, length in (("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2)):
        if len(header.get(keyword, None) or ()) != length:
            raise IngestError(
                IngestCode.MISSING_POSITION,
                f"expected {length} values of {keyword}, the geometry cannot be proved without",
                {"missing": keyword},
            )
    if str(header.get("PhotometricInterpretation", "")) == "MONOCHROME1":
        raise IngestError(IngestCode.MONOCHROME1, "expected MONOCHROME2, the grey scale of MONOCHROME1 runs the other way")
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        if not str(header.get(keyword, "")):
            raise IngestError(
                IngestCode.PATIENT_ID_MISSING,
                f"expected a value of {keyword}, slices cannot be kept together without",
                {"missing": keyword},
            )
