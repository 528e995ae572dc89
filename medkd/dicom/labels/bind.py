"""Which label belongs to which volume: by what it refers to and by its geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from data_contracts import IngestCode, IngestError, LabelRef, VolumeRef
from medkd.dicom.classify import ObjectKind
from medkd.dicom.confidentiality.names import clean_segments
from medkd.dicom.discover import FoundFile
from medkd.dicom.findings import Findings
from medkd.dicom.group import SliceGroup
from medkd.dicom.labels.bound import BoundLabel
from medkd.dicom.labels.nifti import bind_nifti
from medkd.dicom.labels.segmentation import bind_segmentation
from medkd.dicom.labels.structure_set import bind_structure_set, referenced_instances
from medkd.dicom.memory import Memory
from medkd.dicom.raw_values import text_of
from medkd.volumes.store import Store

_READERS = {
    ObjectKind.SEGMENTATION: ("dicom-seg", bind_segmentation),
    ObjectKind.STRUCTURE_SET: ("rtstruct", bind_structure_set),
    ObjectKind.NIFTI: ("nifti", bind_nifti),
}


@dataclass
class LabelBinder:
    """Binds labels to the volumes of one ingestion.

    Attributes:
        volumes: accepted volumes with the slices they were made of, by series key.
        store: where labels go.
        memory: what earlier runs bound or refused.
        findings: makes fresh findings under the site's policy.
        decoded: how many labels were read.
    """

    volumes: dict[str, tuple[VolumeRef, SliceGroup]]
    store: Store
    memory: Memory
    findings: Callable[[], Findings]
    decoded: int = 0

    def bind(self, file: FoundFile, kind: ObjectKind) -> tuple[IngestCode, ...]:
        """Bind one label and return its flags.

        Raises:
            IngestError: why it belongs to no volume.
        """
        candidates = self._candidates(file, kind)
        content = self.memory.content([file.digest, *sorted(volume.array.sha256 for volume, _ in candidates)])
        remembered = self.memory.recall(f"label:{content}")
        if remembered is not None:
            label = LabelRef.model_validate(remembered["label"])
            if self.store.verify(label.array):
                return self._take(remembered["series"], label, remembered["class"])
        refusal = self.memory.recall(f"refusal:{content}")
        if refusal is not None:
            raise IngestError(IngestCode(refusal["code"]), refusal["message"], refusal["evidence"])
        try:
            series, label, class_label = self._read(file, kind, candidates)
        except IngestError as error:
            self.memory.keep_refusal(content, error)
            raise
        self.memory.keep(f"label:{content}", {"series": series, "label": label.model_dump(mode="json"), "class": class_label})
        return self._take(series, label, class_label)

    def _take(self, series: str, label: LabelRef, class_label: str | None) -> tuple[IngestCode, ...]:
        volume, group = self.volumes[series]
        if volume.label is None:
            volume = volume.model_copy(update={"label": label, "class_label": class_label})
        else:
            volume = volume.model_copy(update={"further_labels": (*volume.further_labels, label)})
        self.volumes[series] = volume, group
        return label.flags

    def _candidates(self, file: FoundFile, kind: ObjectKind) -> list[tuple[VolumeRef, SliceGroup]]:
        """Return the volumes that a label may belong to.

        Raises:
            IngestError: ``LABEL_REFERENCES_MISSING``.
        """
        refers = {ObjectKind.SEGMENTATION: _segmentation_refers, ObjectKind.STRUCTURE_SET: _contours_refer, ObjectKind.NIFTI: _lies_beside}[
            kind
        ]
        found = [pair for pair in self.volumes.values() if refers(file, pair[1])]
        if not found:
            message = "expected the image series of the label in the source, it is not there or was refused"
            raise IngestError(IngestCode.LABEL_REFERENCES_MISSING, message, {"kind": kind.value})
        return found

    def _read(self, file: FoundFile, kind: ObjectKind, candidates: list[tuple[VolumeRef, SliceGroup]]) -> tuple[str, LabelRef, str | None]:
        """Read a label onto the one candidate whose grid it fits."""
        source, read = _READERS[kind]
        fits: list[tuple[VolumeRef, BoundLabel]] = []
        errors: list[IngestError] = []
        for volume, _ in candidates:
            try:
                self.decoded += 1
                fits.append((volume, read(file, volume.geometry, self.findings())))
            except IngestError as error:
                errors.append(error)
        if not fits:
            raise errors[0]
        if len(fits) > 1 and kind is ObjectKind.NIFTI:
            message = f"expected one volume on the grid of the label, {len(fits)} lie on it: put the label beside its series"
            raise IngestError(IngestCode.LABEL_GEOMETRY_MISMATCH, message, {"volumes": len(fits)})
        volume, bound = fits[0]
        headers = (file.header, self.volumes[volume.series_key][1].header)
        segments, class_label = clean_segments(bound.segments, bound.class_label, source, headers)
        key = f"labels/{volume.series_key}-{file.digest[:12]}.safetensors"
        label = LabelRef(
            array=self.store.write_tensors(key, {"label": bound.array, **bound.extra}),
            geometry=volume.geometry,
            segments=segments,
            volume_sha256=volume.array.sha256,
            source=source,
            max_deviation_mm=bound.deviation_mm,
            flags=bound.flags,
        )
        return volume.series_key, label, class_label


def _segmentation_refers(file: FoundFile, group: SliceGroup) -> bool:
    header = file.header
    if header is None:
        return False
    wanted = {str(item.get("SeriesInstanceUID", "")) for item in header.get("ReferencedSeriesSequence") or []}
    if text_of(group.header, "SeriesInstanceUID") in wanted:
        return True
    # A reference to a copy of the series (a converted multi-frame object) still shares its frame of reference.
    frame = text_of(header, "FrameOfReferenceUID")
    return bool(frame) and frame == text_of(group.header, "FrameOfReferenceUID")


def _contours_refer(file: FoundFile, group: SliceGroup) -> bool:
    if file.header is None:
        return False
    wanted = referenced_instances(file.header)
    return bool(wanted) and wanted <= {text_of(item.header, "SOPInstanceUID") for item in group.slices}


def _lies_beside(file: FoundFile, group: SliceGroup) -> bool:
    """Return whether the series lies in the label's folder or below it: a NIfTI names no patient, its place does."""
    folder = PurePosixPath(file.relative).parent
    return all(PurePosixPath(item.relative).is_relative_to(folder) for item in group.files)
