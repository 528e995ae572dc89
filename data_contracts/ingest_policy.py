"""What each code of ingestion means, and what a site wants done about it: reject, repair, or accept with a flag.

Every code has one :class:`CodeFact`. A policy may only ask for what a code allows: nothing that cannot be verified is accepted because a
recipe says so.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import Field

from data_contracts.errors import ContractError, IngestCode
from data_contracts.record import FrozenModel


class Action(StrEnum):
    """What is done about a finding."""

    REJECT = "reject"
    REPAIR = "repair"
    ACCEPT_WITH_FLAG = "accept_with_flag"
    IGNORE = "ignore"


class Severity(StrEnum):
    """How bad a finding is: a note changes no value, a warning may, an error stops the series."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class CodeFact(NamedTuple):
    """One line of the table of codes.

    Attributes:
        severity: see :class:`Severity`.
        default: action where the policy says nothing.
        allows: further actions that a policy may ask for.
        meaning: what was found, one clause.
        mend: what would mend it at the source.
        repair: what a repair does, where there is one.
    """

    severity: Severity
    default: Action
    allows: frozenset[Action]
    meaning: str
    mend: str
    repair: str = ""


_C, _A = IngestCode, Action
_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


def _error(meaning: str, mend: str, repair: str = "", *, acceptable: bool = False) -> CodeFact:
    allows = {_A.REJECT} | ({_A.REPAIR} if repair else set()) | ({_A.ACCEPT_WITH_FLAG} if acceptable else set())
    return CodeFact(_ERROR, _A.REJECT, frozenset(allows), meaning, mend, repair)


def _flag(severity: Severity, meaning: str, mend: str, repair: str = "") -> CodeFact:
    allows = {_A.REJECT, _A.ACCEPT_WITH_FLAG} | ({_A.REPAIR} if repair else set())
    return CodeFact(severity, _A.ACCEPT_WITH_FLAG, frozenset(allows), meaning, mend, repair)


def _ignored(meaning: str, mend: str = "Nothing to mend: the file is not meant for ingestion.") -> CodeFact:
    return CodeFact(_NOTE, _A.IGNORE, frozenset({_A.IGNORE}), meaning, mend)


_AGAIN = "Export the object again and compare its size with the source's."
_WHOLE = "Export the whole series again and compare the number of images with the scanner's."
_FILL = "the slice is kept as synthetic: interpolated between its neighbours and marked, so that training and measures leave it out"

CODES: dict[IngestCode, CodeFact] = {
    # FILE
    _C.NOT_DICOM: _error("the file is not DICOM", "Remove it, or export it again as DICOM."),
    _C.MISSING_META: _error(
        "the DICOM file header (Part 10) is missing",
        "Export again as DICOM files (Part 10).",
        "the dataset is read without it, its encoding is recognised from the first elements",
    ),
    _C.UNREADABLE_HEADER: _error("the header breaks off or contradicts itself", _AGAIN),
    _C.BAD_VR: _flag(
        _NOTE,
        "a known attribute is written with an unknown or wrong value representation",
        "Export again by software that knows the attribute.",
    ),
    _C.DUPLICATE_FILE: _ignored("the same image is there already"),
    _C.DICOMDIR_SKIPPED: _ignored("a directory of files, not an image"),
    _C.PATH_ESCAPE: _error("an archive holds a path that leaves it", "Do not open the archive; ask its sender for another."),
    _C.ZIP_BOMB: _error(
        "an archive unpacks to far more than it should", "Do not open the archive; send the files in several smaller ones."
    ),
    _C.ARCHIVE_UNREADABLE: _error("an archive is broken or encrypted", "Send the archive again, without a password."),
    _C.ARCHIVE_OPENED: _ignored("an archive: its members are listed one by one"),
    _C.ARCHIVE_TOO_DEEP: _error("an archive inside too many other archives", "Unpack the outer archives and name the folder."),
    _C.FILE_UNREADABLE: _error(
        "a file or folder that may not be read", "Give the account that runs medkd the right to read it, and ingest again."
    ),
    _C.LINK_INSIDE: _ignored("a link to a folder of the same source: what lies there is listed under its own name"),
    _C.LINK_OUTSIDE: _error(
        "a link that leads out of the source",
        "Name the folder that it leads to, or accept links out of the source in the policy (accept_with_flag): they are then followed.",
        acceptable=True,
    ),
    _C.LINK_CYCLE: _error("a link that leads back to itself or to a folder that it lies in", "Remove the link."),
    # OBJECT
    _C.NON_IMAGE_SOP: _ignored("an object without an image"),
    _C.MISSING_SOP_CLASS: _error(
        "the object does not say what it is (no SOP class)",
        "Export again by software that writes the SOP class.",
        "taken as an image of its modality: the pixel and plane attributes are complete",
    ),
    _C.COLOUR_UNSUPPORTED: _error(
        "a colour image of a kind whose colours are what is looked at (a photograph, an endoscopy, a histological slide)",
        "Send the grey-scale original where there is one.",
    ),
    _C.COLOUR_TO_GREY: _flag(
        _WARNING,
        "a picture in colours (an ultrasound with a Doppler map, a palette) that was brought to grey; coloured pixels are counted",
        "Send the grey-scale picture where there is one.",
    ),
    _C.NO_PIXEL_DATA: _error("an image without pixel data", _AGAIN),
    _C.SECONDARY_CAPTURE: _error(
        "a screen shot or a scanned picture, not an acquired image",
        "Send the acquired series, or accept secondary captures as pictures in the policy (accept_with_flag).",
        acceptable=True,
    ),
    _C.LOCALIZER: _ignored("a localizer: it belongs to no volume"),
    _C.DERIVED_MPR: _flag(_WARNING, "a reformatted series: its voxels were interpolated by the workstation", "Send the original series."),
    _C.ENHANCED_UNSUPPORTED: _error(
        "a multi-frame object without functional groups, and no ultrasound cine", "Send enhanced or single-frame objects."
    ),
    _C.PROJECTION: _error(
        "a projection that is no single radiograph (angiography, fluoroscopy)",
        "Send CR, DX, MG or US pictures, or a series with positions.",
    ),
    _C.FOR_PROCESSING: _flag(
        _WARNING,
        "a radiograph for processing: its values are the detector's, and nothing says how they are meant to be shown",
        "Send the picture for presentation.",
    ),
    _C.MOSAIC: _error(
        "a mosaic: many slices in one picture, whose places or order the header does not verify",
        "Export the series as enhanced MR or as single slices (at Siemens scanners: without the option mosaic), or with its CSA header.",
    ),
    # PIXEL
    _C.UNSUPPORTED_TRANSFER_SYNTAX: _error(
        "an encoding that cannot be decoded here", "Export uncompressed, or as JPEG 2000, JPEG-LS or RLE."
    ),
    _C.DECODE_FAILED: _error("the compressed pixel data cannot be decoded", _AGAIN, _FILL),
    _C.TRUNCATED_PIXELS: _error("the pixel data break off", "The transfer broke off: send the file again.", _FILL),
    _C.BITS_MISMATCH: _error(
        "values need more bits than the header says are stored",
        "Export again; overlays may sit in the upper bits.",
        "the upper bits are cut off, as the header says",
    ),
    _C.HIGH_BIT: _flag(
        _NOTE,
        "values lie in the upper bits of their words (HighBit is not BitsStored - 1) and are read from there",
        "Nothing to mend.",
    ),
    _C.LOSSY_COMPRESSED: _flag(_WARNING, "the image was compressed with loss", "Send the lossless original."),
    _C.MONOCHROME1: _flag(_NOTE, "the grey scale is shown inverted; values after rescaling are not touched by that", "Nothing to mend."),
    _C.PADDING_VALUE: _flag(
        _NOTE,
        "pixels outside the reconstruction carry a padding value",
        "Nothing to mend.",
        "padded voxels get the lowest measured value and are marked as not measured",
    ),
    _C.CONSTANT_SLICE: _flag(_WARNING, "a slice holds one value only", "Look at the slice at the scanner: it may be lost."),
    _C.NAN_OR_INF: _error(
        "values that are not finite", "Export again.", "such voxels get the lowest finite value and are marked as not measured"
    ),
    _C.NONLINEAR_LUT: _error(
        "values of a volume pass through a look-up table instead of slope and intercept, or those of a picture through one that contradicts itself",
        "Export with a linear rescale.",
    ),
    # GEOMETRY
    _C.MISSING_POSITION: _error(
        "position, orientation or spacing is missing", "Send an acquired series with image position, orientation and spacing."
    ),
    _C.SPACING_UNKNOWN: _flag(
        _NOTE,
        "a picture that does not say how far its pixels lie apart; nothing is measured in mm",
        "Export with ImagerPixelSpacing, PixelSpacing or ultrasound regions.",
    ),
    _C.ORIENTATION_NOT_ORTHONORMAL: _error(
        "row and column directions are not orthonormal",
        "Export again from the original.",
        "the nearest orthonormal directions are used, when they are at most 0.05 away",
    ),
    _C.MIXED_ORIENTATION: _error(
        "single slices of the series lie in another direction than the rest", "Send each acquisition as a series."
    ),
    _C.MIXED_MATRIX: _error("single slices of the series have another matrix than the rest", "Send each acquisition as a series."),
    _C.MIXED_SPACING: _error("single slices of the series have another pixel spacing than the rest", "Send each acquisition as a series."),
    _C.MISSING_SLICES: _error("slices are missing between others", _WHOLE, _FILL),
    _C.DUPLICATE_POSITION: _error(
        "the same slice is there twice", "Send each slice once.", "one of the equal slices is used", acceptable=True
    ),
    _C.DUPLICATE_CONFLICT: _error(
        "two different slices claim one position", "Find out at the source which is right.", f"neither is guessed to be right: {_FILL}"
    ),
    _C.VARIABLE_SPACING: _error(
        "the distance between slices changes",
        "Send each acquisition as a series.",
        "resampled along the stack to one step; every slice that was interpolated is marked as synthetic",
    ),
    _C.GANTRY_TILT: _error(
        "slices shear: the gantry was tilted",
        "Resample the series upright at the workstation, or accept the sheared grid.",
        "nothing is resampled: the affine carries the shear, which is exact",
        acceptable=True,
    ),
    _C.TOO_FEW_SLICES: _error("too few slices to verify a spacing", _WHOLE),
    _C.SPACING_TAG_DISAGREES: _flag(
        _NOTE, "SpacingBetweenSlices says something else than the positions; positions count", "Nothing to mend."
    ),
    _C.TEMPORAL_STACK: _error(
        "several slices at every position and nothing in the header that tells them apart", "Send each time point as a series."
    ),
    _C.SEPARATE_STACKS: _flag(
        _WARNING,
        "one of several stacks of slices that lie far apart in one series; nothing but the distance tells them apart",
        "Compare the number of images with the scanner's: slices between the stacks may be missing.",
    ),
    _C.MIXED_ACQUISITION: _flag(
        _WARNING,
        "slices of one volume were acquired differently, and too few of each kind for volumes of their own",
        "Send each acquisition as a series.",
    ),
    # VALUE
    _C.RESCALE_MISSING: _error("CT without rescale slope and intercept", "Export again with both.", acceptable=True),
    _C.UNREADABLE_NUMBER: _error("an attribute that must be a number holds none", "Correct the attribute at the source, or export again."),
    _C.DECIMAL_COMMA: _flag(
        _NOTE,
        "numbers are written with decimal commas (DICOM knows points only) and were read as such",
        "Export by software that writes decimal points, whatever the language of the machine.",
    ),
    _C.NOT_HOUNSFIELD: _flag(
        _WARNING,
        "CT values in another unit than Hounsfield units, as the header says",
        "Nothing to mend where a map is meant; send the Hounsfield series where they are wanted.",
    ),
    _C.HU_RANGE_IMPLAUSIBLE: _flag(_WARNING, "values that Hounsfield units do not take", "Look at the series at the workstation."),
    _C.SUV_INPUTS_MISSING: _flag(
        _WARNING, "PET without what standardised uptake values need; values stay as stored", "Export with weight, dose and times."
    ),
    _C.SUV_BODY_WEIGHT: _flag(
        _NOTE,
        "PET values were brought to standardised uptake values by body weight (g/ml), each slice after its own slope",
        "Nothing to mend.",
    ),
    # IDENTITY
    _C.PATIENT_ID_MISSING: _error(
        "patient, study, series or instance has no identifier",
        "Complete the identity at the source; where only PatientID is empty, the policy may repair it.",
        "where only PatientID is empty, StudyInstanceUID stands for the person: two studies of one person count as two people",
    ),
    _C.PATIENT_ID_COLLISION: _error("one identifier names two patients", "Correct the identity at the source."),
    _C.PIXEL_IDENTICAL_ACROSS_PATIENTS: _error("two patients share one image", "Find out at the source whose image it is."),
    _C.DUPLICATE_UID_CONFLICT: _error("two different objects carry one instance UID", "Find out at the source which is right."),
    _C.DEID_RESIDUAL: _error(
        "an original identifier is left in what would be published", "Report it: the identifier's place is in the evidence."
    ),
    _C.BURNED_IN_TEXT: _error(
        "text is, or may be, burned into the pixels",
        "Export without annotations.",
        "text that was found, and in ultrasound what lies outside its regions, is blanked in pictures and marked as not measured; volumes are refused",
        acceptable=True,
    ),
    # LABEL
    _C.LABEL_GEOMETRY_MISMATCH: _error(
        "the label lies on another grid",
        "Export the label on the grid of its image series.",
        "of a DICOM SEG that refers to one volume, each voxel takes the value of the nearest pixel; other labels are refused",
    ),
    _C.LABEL_REFERENCES_MISSING: _error(
        "the images that the label was drawn on are not there, were refused, or are not named", "Send label and series together."
    ),
    _C.LABEL_AMBIGUOUS: _error(
        "several volumes fit the label and nothing says which one is meant",
        "Export the label with references to its images; put a NIfTI file into the folder of its series.",
    ),
    _C.LABEL_DIVIDED: _flag(
        _NOTE, "one label object was drawn on several volumes: each of them got its own part as a label", "Nothing to mend."
    ),
    _C.LABEL_MISSING: _error("a listed label is not there", "Send it, or take it off the list."),
    _C.LABEL_WITHOUT_IMAGE: _error("a label without its image", "Send image and label together."),
    _C.LABEL_UNSUPPORTED: _error("a kind of label that cannot be read here", "Export as DICOM SEG, RTSTRUCT or NIfTI."),
    _C.NOT_A_LABEL: _error(
        "an image beside the series, not a label map: its values change from voxel to voxel",
        "Nothing to mend where it is a copy of the series; otherwise send the label map, one whole number per structure.",
    ),
    _C.EMPTY_LABEL: _error("a label without a single labelled voxel", "Look whether the right segmentation was exported."),
    _C.UNKNOWN_SEGMENT: _error("voxels refer to a segment that is not described", "Export the label again."),
    _C.OVERLAPPING_SEGMENTS: _flag(
        _NOTE, "segments overlap: each keeps a mask of its own, in the map the smaller structure wins", "Nothing to mend."
    ),
    _C.STRUCTURE_LOST: _flag(
        _WARNING,
        "a structure of the label, or a slice of it, holds no voxel centre (smaller than a voxel, without area, never drawn), or leaves the image",
        "Draw it on finer images, or take it off the label.",
    ),
    _C.FRACTIONAL_LABEL: _flag(
        _NOTE, "a label of probabilities: voxels of at least one half are labelled, the fractions are kept", "Nothing to mend."
    ),
    _C.OPEN_CONTOUR: _flag(
        _WARNING,
        "contours that are not closed in a plane (points, open lines) are left out of their structures, the others stay",
        "Export closed planar contours.",
    ),
    _C.CONTOUR_OFF_PLANE: _error(
        "contours lie between the slices of the one volume that they refer to",
        "Export contours on the planes of the images.",
        "each slice takes the contours of the plane nearest to it, less than half a step away",
    ),
    # SOURCE
    _C.QIDO_TIMEOUT: _error("the archive did not answer in time", "Try again."),
    _C.PARTIAL_STUDY: _error("objects that were announced did not arrive", "Send the study again."),
    _C.ASSOCIATION_ABORTED: _error("the connection broke off", "Try again."),
}


class IngestPolicy(FrozenModel):
    """What is done about each finding. Where neither field applies, a code's own default does.

    Attributes:
        every: action for all codes that allow it (``reject`` makes even notes a refusal); None leaves each its own.
        actions: actions of single codes, which win over ``every``.
    """

    every: Action | None = None
    actions: dict[IngestCode, Action] = Field(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        """Refuse actions that a code does not allow.

        Raises:
            ContractError: ``POLICY_NOT_ALLOWED``.
        """
        for code, action in self.actions.items():
            fact = CODES[code]
            # The default is always allowed: a policy may spell out what happens anyway.
            if action not in fact.allows and action is not fact.default:
                allowed = ", ".join(sorted(fact.allows | {fact.default}))
                raise ContractError("POLICY_NOT_ALLOWED", f"expected one of {allowed} for {code.value}, got {action.value}: {fact.meaning}")

    def action(self, code: IngestCode) -> Action:
        """Return what is to be done about a code."""
        fact = CODES[code]
        if code in self.actions:
            return self.actions[code]
        if self.every is not None and self.every in fact.allows:
            return self.every
        return fact.default
