"""DICOM objects that were written of one explained study, and who read them back."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from data_contracts.model import ModelRef
from data_contracts.record import Finite, FrozenModel, Sha256, VersionedRecord

ResultKind = Literal["segmentation", "labelmap", "map_segmentation", "parametric_map", "report", "key_image"]


class ResultObject(FrozenModel):
    """One DICOM file of a set.

    Attributes:
        kind: what it is.
        file: its name in the set's folder.
        sha256: of its bytes.
        sop_class_uid: its class.
        sop_instance_uid: its own identifier.
        about: what it shows, in words.
    """

    kind: ResultKind
    file: str
    sha256: Sha256
    sop_class_uid: str
    sop_instance_uid: str
    about: str


class ReadBack(FrozenModel):
    """What an independent program found when it read an object.

    Attributes:
        file: that was read.
        reader: the program, and its version.
        errors: that a validator reported.
        voxels: that were compared with what was to be written.
        voxels_differing: how many of them differ.
        worst_centroid_mm: of a segment, the largest distance between written and read centroid.
        worst_volume_share: of a segment, the largest difference of volume as a share of it.
    """

    file: str
    reader: str
    errors: int = Field(default=0, ge=0)
    voxels: int = Field(default=0, ge=0)
    voxels_differing: int = Field(default=0, ge=0)
    worst_centroid_mm: Finite = Field(default=0.0, ge=0)
    worst_volume_share: Finite = Field(default=0.0, ge=0)


class ResultSet(VersionedRecord):
    """The DICOM objects of one explanation and their certificate: what every reader gave back. A set without one is not published.

    ``explanation`` is the content id of the explanation that all objects were made from.
    """

    SCHEMA: ClassVar[str] = "result_set/1"
    explanation: Sha256
    model: ModelRef
    objects: tuple[ResultObject, ...]
    certificate: tuple[ReadBack, ...]
