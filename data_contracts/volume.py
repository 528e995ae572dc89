"""A stored volume and its stored label."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from data_contracts.errors import IngestCode
from data_contracts.geometry import Geometry
from data_contracts.picture import PictureGrid
from data_contracts.record import Finite, FrozenModel, Key, Ref, VersionedRecord
from data_contracts.study import SeriesRecord


class Segment(FrozenModel):
    """One labelled structure: the voxel value it is stored as and its name; ``tracking_id`` as in DICOM SEG.

    ``name`` identifies nobody: the label or ROI name where all its words are of a closed vocabulary, else the coded meaning, else the type.
    ``label`` is the label as it was written where its words allow it, ``code`` is ``SCHEME:VALUE`` of a public coding scheme, ``kind`` the
    property or interpreted type. ``keys`` are keyed pseudonyms of everything the object calls the structure, most specific first: whoever
    knows a name and the site's secret can find the structure by it. ``voxels`` is its size, 0 where it is lost.
    """

    value: int = Field(ge=1)
    name: str
    tracking_id: str = ""
    label: str = ""
    code: str = ""
    kind: str = ""
    keys: tuple[Key, ...] = ()
    voxels: int | None = Field(default=None, ge=0)


class LabelRef(VersionedRecord):
    """A stored label array (uint8, axes slice, row, column) bound by geometry to one volume, or by its references to one picture.

    Tensor ``label`` holds the map. Where segments overlap, ``segment/VALUE`` holds each one's own mask, and the map shows the smaller
    structure; of a fractional segmentation ``fraction/VALUE`` holds 255 · probability. ``evidence`` says per flag what was found, as JSON.
    """

    SCHEMA: ClassVar[str] = "label/1"
    array: Ref
    geometry: Geometry | PictureGrid
    segments: tuple[Segment, ...]
    volume_sha256: str
    source: str = "dicom-seg"
    max_deviation_mm: Finite = 0.0
    flags: tuple[IngestCode, ...] = ()
    evidence: dict[IngestCode, str] = Field(default_factory=dict)


class VolumeRef(VersionedRecord):
    """A stored volume (float32 or int16, axes slice, row, column) with its verified geometry, or a picture (frame, row, column) without one.

    ``unit`` is ``HU`` for CT that does not say otherwise, the header's own word for other calibrated values (``MGML``, ``Z_EFF``, a code of
    UCUM), and ``raw`` where there is none. ``array`` names the safetensors file whose
    tensor ``volume`` holds the voxels. Where ``synthetic_voxels`` is not 0, tensor ``synthetic`` (uint8) is 1 at every voxel that was
    not measured: a slice that a repair interpolated, a padded or undefined pixel. Training and measures leave those out.
    ``evidence`` says per flag what was measured, as JSON; ``tilt_degrees`` is the shear that the affine carries.

    Of a picture (``geometry`` is a :class:`PictureGrid`) tensor ``picture`` (uint8 where all are whole, else float32) holds beside the values
    what is shown and what networks see, 0 (black) to 255 (white), by the rule in the record; tensor ``synthetic`` marks blanked pixels too.
    """

    SCHEMA: ClassVar[str] = "volume/1"
    array: Ref
    geometry: Geometry | PictureGrid
    unit: str
    modality: str
    patient_key: Key
    study_key: Key
    series_key: Key
    frame_of_reference_key: Key | None = None
    origin: str = "dicom"
    class_label: str | None = None
    label: LabelRef | None = None
    further_labels: tuple[LabelRef, ...] = ()
    flags: tuple[IngestCode, ...] = ()
    evidence: dict[IngestCode, str] = Field(default_factory=dict)
    synthetic_slices: tuple[int, ...] = ()
    synthetic_voxels: int = Field(default=0, ge=0)
    tilt_degrees: Finite = 0.0
    perceptual_hash: str | None = None

    @property
    def picture(self) -> PictureGrid | None:
        """Return what is known of a picture; None of a volume."""
        return self.geometry if isinstance(self.geometry, PictureGrid) else None

    @property
    def space(self) -> Geometry | None:
        """Return where the voxels lie in the patient; None of a picture, in which nothing in mm is measured."""
        return self.geometry if isinstance(self.geometry, Geometry) else None

    @property
    def labels(self) -> tuple[LabelRef, ...]:
        """Return every label of the volume: one for each object that was drawn on it."""
        return (() if self.label is None else (self.label,)) + self.further_labels


class StoreManifest(VersionedRecord):
    """Everything a store holds, written last and by atomic rename: what is not listed here does not exist."""

    SCHEMA: ClassVar[str] = "store/1"
    volumes: tuple[VolumeRef, ...]
    series: tuple[SeriesRecord, ...] = ()
    source_digest: str = ""

    def model_post_init(self, context: Any) -> None:
        """A series may be listed once."""
        super().model_post_init(context)
        # What is listed twice would be read twice, and counted as two series in every cohort.
        keys = [volume.series_key for volume in self.volumes]
        described = [series.series_key for series in self.series]
        if len(set(keys)) != len(keys) or len(set(described)) != len(described):
            twice = sorted({key for listed in (keys, described) for key in listed if listed.count(key) > 1})
            raise ValueError(f"expected every series once in a store manifest, got twice: {twice[:5]}")
