"""The one tree of errors. Each carries a stable code and says in one sentence what was expected and what came.

::

    MedkdError
    ├── ContractError      a record cannot be read or does not fit its schema
    ├── RecipeError        a recipe does not validate or does not bind to the catalogue
    ├── CatalogueError     an unknown entry, a clash of names
    ├── SourceError        a source of data cannot be read at all
    ├── OutputError        results may not or cannot be written where they should go
    ├── IngestError        one file, series or label is refused: carries an IngestCode and evidence
    ├── DataError          an array does not hold what is needed (NaN, wrong shape, unknown case)
    ├── StoreError         stored bytes are missing or differ from their digest
    ├── KnowledgeError     a recipe asks a teacher for what was not extracted
    ├── LeakageError       a patient would be in two parts of a split
    ├── TeacherGateError   the teacher gate judged a teacher unfit to be copied
    ├── ExplanationError   a target, layer or map is missing or not finite
    ├── RegistryError      a model version is missing, altered or incomplete
    ├── VaultError         a re-identification vault cannot be opened, was altered, or does not hold what is asked
    ├── FeedbackError      a judgement may not be kept as it is, or the feedback log was altered
    ├── NetworkError       a peer cannot be reached, refuses, breaks off, or sends less than it has
    └── MissingDependencyError a needed program or library is missing on this machine
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class MedkdError(Exception):
    """Root of the tree; ``code`` is stable, ``str(error)`` is one clear sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = str(code)
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep code and sentence when the error crosses a process border."""
        # Pickle calls the class with `args`, which hold the sentence alone.
        return (type(self), (self.code, self.message))


class ContractError(MedkdError):
    """A record cannot be read or does not fit its schema."""


class RecipeError(MedkdError):
    """A recipe does not validate or does not bind to the catalogue."""


class CatalogueError(MedkdError):
    """An entry of the catalogue is unknown, malformed, or claimed twice."""


class CompressionError(MedkdError):
    """A form of a model cannot be made, asked, or be told from one that is worse."""


class SourceError(MedkdError):
    """A source of data cannot be read at all."""


class OutputError(MedkdError):
    """Results may not or cannot be written where they should go: the folder is somebody else's, holds the source, or is read-only."""


class DataError(MedkdError):
    """An array or table does not hold what is needed."""


class StoreError(MedkdError):
    """Stored bytes are missing or differ from their digest."""


class KnowledgeError(MedkdError):
    """A recipe asks a teacher for what was not extracted."""


class LeakageError(MedkdError):
    """A patient would be in two parts of a split."""


class TeacherGateError(MedkdError):
    """The teacher gate judged a teacher unfit to be copied."""


class ExplanationError(MedkdError):
    """A target, layer or map is missing or not finite."""


class RegistryError(MedkdError):
    """A registered version is missing, altered or incomplete."""


class VaultError(MedkdError):
    """A re-identification vault cannot be opened, was altered, or does not hold what is asked."""


class FeedbackError(MedkdError):
    """A judgement may not be kept as it is, or the log that keeps them was altered."""


class NetworkError(MedkdError):
    """A peer cannot be reached, refuses, breaks off, or sends less than it has."""


class MissingDependencyError(MedkdError):
    """A needed program or library is missing on this machine."""


class IngestError(MedkdError):
    """One file, series or label is refused; the evidence says what was measured."""

    def __init__(self, code: IngestCode, message: str, evidence: Mapping[str, Any] | None = None) -> None:
        super().__init__(code.value, message)
        self.ingest_code = code
        self.evidence: dict[str, Any] = dict(evidence or {})

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the evidence when the error crosses a process border."""
        return (type(self), (self.ingest_code, self.message, self.evidence))


class IngestCode(StrEnum):
    """Stable reasons for which ingestion refuses, flags or ignores a file."""

    # FILE
    NOT_DICOM = "NOT_DICOM"
    MISSING_META = "MISSING_META"
    UNREADABLE_HEADER = "UNREADABLE_HEADER"
    BAD_VR = "BAD_VR"
    DUPLICATE_FILE = "DUPLICATE_FILE"
    DICOMDIR_SKIPPED = "DICOMDIR_SKIPPED"
    PATH_ESCAPE = "PATH_ESCAPE"
    ZIP_BOMB = "ZIP_BOMB"
    ARCHIVE_UNREADABLE = "ARCHIVE_UNREADABLE"
    ARCHIVE_OPENED = "ARCHIVE_OPENED"
    ARCHIVE_TOO_DEEP = "ARCHIVE_TOO_DEEP"
    FILE_UNREADABLE = "FILE_UNREADABLE"
    LINK_INSIDE = "LINK_INSIDE"
    LINK_OUTSIDE = "LINK_OUTSIDE"
    LINK_CYCLE = "LINK_CYCLE"
    # OBJECT
    NON_IMAGE_SOP = "NON_IMAGE_SOP"
    MISSING_SOP_CLASS = "MISSING_SOP_CLASS"
    COLOUR_UNSUPPORTED = "COLOUR_UNSUPPORTED"
    NO_PIXEL_DATA = "NO_PIXEL_DATA"
    SECONDARY_CAPTURE = "SECONDARY_CAPTURE"
    LOCALIZER = "LOCALIZER"
    DERIVED_MPR = "DERIVED_MPR"
    ENHANCED_UNSUPPORTED = "ENHANCED_UNSUPPORTED"
    PROJECTION = "PROJECTION"
    COLOUR_TO_GREY = "COLOUR_TO_GREY"
    FOR_PROCESSING = "FOR_PROCESSING"
    MOSAIC = "MOSAIC"
    # PIXEL
    UNSUPPORTED_TRANSFER_SYNTAX = "UNSUPPORTED_TRANSFER_SYNTAX"
    DECODE_FAILED = "DECODE_FAILED"
    TRUNCATED_PIXELS = "TRUNCATED_PIXELS"
    BITS_MISMATCH = "BITS_MISMATCH"
    HIGH_BIT = "HIGH_BIT"
    LOSSY_COMPRESSED = "LOSSY_COMPRESSED"
    MONOCHROME1 = "MONOCHROME1"
    PADDING_VALUE = "PADDING_VALUE"
    CONSTANT_SLICE = "CONSTANT_SLICE"
    NAN_OR_INF = "NAN_OR_INF"
    NONLINEAR_LUT = "NONLINEAR_LUT"
    # GEOMETRY
    MISSING_POSITION = "MISSING_POSITION"
    SPACING_UNKNOWN = "SPACING_UNKNOWN"
    ORIENTATION_NOT_ORTHONORMAL = "ORIENTATION_NOT_ORTHONORMAL"
    MIXED_ORIENTATION = "MIXED_ORIENTATION"
    MIXED_MATRIX = "MIXED_MATRIX"
    MIXED_SPACING = "MIXED_SPACING"
    MISSING_SLICES = "MISSING_SLICES"
    DUPLICATE_POSITION = "DUPLICATE_POSITION"
    DUPLICATE_CONFLICT = "DUPLICATE_CONFLICT"
    VARIABLE_SPACING = "VARIABLE_SPACING"
    GANTRY_TILT = "GANTRY_TILT"
    TOO_FEW_SLICES = "TOO_FEW_SLICES"
    SPACING_TAG_DISAGREES = "SPACING_TAG_DISAGREES"
    TEMPORAL_STACK = "TEMPORAL_STACK"
    SEPARATE_STACKS = "SEPARATE_STACKS"
    MIXED_ACQUISITION = "MIXED_ACQUISITION"
    # VALUE
    RESCALE_MISSING = "RESCALE_MISSING"
    UNREADABLE_NUMBER = "UNREADABLE_NUMBER"
    DECIMAL_COMMA = "DECIMAL_COMMA"
    NOT_HOUNSFIELD = "NOT_HOUNSFIELD"
    HU_RANGE_IMPLAUSIBLE = "HU_RANGE_IMPLAUSIBLE"
    SUV_INPUTS_MISSING = "SUV_INPUTS_MISSING"
    SUV_BODY_WEIGHT = "SUV_BODY_WEIGHT"
    # IDENTITY
    PATIENT_ID_MISSING = "PATIENT_ID_MISSING"
    PATIENT_ID_COLLISION = "PATIENT_ID_COLLISION"
    PIXEL_IDENTICAL_ACROSS_PATIENTS = "PIXEL_IDENTICAL_ACROSS_PATIENTS"
    DUPLICATE_UID_CONFLICT = "DUPLICATE_UID_CONFLICT"
    DEID_RESIDUAL = "DEID_RESIDUAL"
    BURNED_IN_TEXT = "BURNED_IN_TEXT"
    # LABEL
    LABEL_GEOMETRY_MISMATCH = "LABEL_GEOMETRY_MISMATCH"
    LABEL_REFERENCES_MISSING = "LABEL_REFERENCES_MISSING"
    LABEL_AMBIGUOUS = "LABEL_AMBIGUOUS"
    LABEL_DIVIDED = "LABEL_DIVIDED"
    LABEL_MISSING = "LABEL_MISSING"
    LABEL_WITHOUT_IMAGE = "LABEL_WITHOUT_IMAGE"
    LABEL_UNSUPPORTED = "LABEL_UNSUPPORTED"
    NOT_A_LABEL = "NOT_A_LABEL"
    EMPTY_LABEL = "EMPTY_LABEL"
    STRUCTURE_LOST = "STRUCTURE_LOST"
    UNKNOWN_SEGMENT = "UNKNOWN_SEGMENT"
    OVERLAPPING_SEGMENTS = "OVERLAPPING_SEGMENTS"
    FRACTIONAL_LABEL = "FRACTIONAL_LABEL"
    OPEN_CONTOUR = "OPEN_CONTOUR"
    CONTOUR_OFF_PLANE = "CONTOUR_OFF_PLANE"
    # SOURCE
    QIDO_TIMEOUT = "QIDO_TIMEOUT"
    PARTIAL_STUDY = "PARTIAL_STUDY"
    ASSOCIATION_ABORTED = "ASSOCIATION_ABORTED"
