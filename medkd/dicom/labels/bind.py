"""Which label belongs to which volume: by what it refers to and by its geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePosixPath

from data_contracts import IngestCode, IngestError, LabelRef, VolumeRef
from medkd.dicom.classify import ObjectKind
from medkd.dicom.confidentiality.names import clean_class_label
from medkd.dicom.discover import FoundFile
from medkd.dicom.findings import Findings
from medkd.dicom.group import SliceGroup
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.labels.bound import BoundLabel
from medkd.dicom.labels.names import Names
from medkd.dicom.labels.nifti import bind_nifti
from medkd.dicom.labels.references import References, VolumeIndex, segmentation_references, structure_set_references
from medkd.dicom.labels.segmentation import bind_segmentation
from medkd.dicom.labels.structure_set import bind_structure_set
from medkd.dicom.series_words import size_of
from medkd.storage.store import Store

_READERS = {
    ObjectKind.SEGMENTATION: ("dicom-seg", bind_segmentation),
    ObjectKind.STRUCTURE_SET: ("rtstruct", bind_structure_set),
    ObjectKind.NIFTI: ("nifti", bind_nifti),
}


_REFERENCES = {ObjectKind.SEGMENTATION: segmentation_references, ObjectKind.STRUCTURE_SET: structure_set_references}
_Candidates = dict[str, tuple[VolumeRef, SliceGroup]]


@dataclass
class LabelBinder:
    """Binds labels to the volumes of one ingestion.

    Attributes:
        volumes: accepted volumes with the slices they were made of, by series key.
        store: where labels go.
        memory: what earlier runs bound or refused.
        findings: makes fresh findings under the site's policy.
        names: what structures may be called.
        found: instances and series of the source, those that were refused among them.
        decoded: how many labels were read.
    """

    volumes: dict[str, tuple[VolumeRef, SliceGroup]]
    store: Store
    cache: IngestCache
    findings: Callable[[], Findings]
    names: Names = field(default_factory=Names)
    found: frozenset[str] = frozenset()
    decoded: int = 0
    _stated: dict[str, set[str]] = field(default_factory=dict)

    @cached_property
    def _index(self) -> VolumeIndex:
        return VolumeIndex.of(self.volumes)

    def bind(self, file: FoundFile, kind: ObjectKind) -> LabelRef:
        """Bind one label to its volume and return it.

        Raises:
            IngestError: why it belongs to no volume.
        """
        references = _REFERENCES[kind](file.header) if kind in _REFERENCES and file.header is not None else References()
        candidates = self._candidates(file, kind, references)
        drawn_on = f"{len(references.drawn_on)}/{self._index.missing(references.drawn_on)}"
        known = sorted(f"{key} {volume.array.sha256}" for key, (volume, _) in candidates.items())
        content = self.cache.content([file.digest, drawn_on, *known, *([file.relative] if kind is ObjectKind.NIFTI else [])])
        remembered = self.cache.recall(f"label:{content}")
        if remembered is not None:
            label = LabelRef.model_validate(remembered["label"])
            if self.store.verify(label.array):
                return self._take(remembered["series"], label, remembered["class"])
        refusal = self.cache.recall(f"refusal:{content}")
        if refusal is not None:
            raise IngestError(IngestCode(refusal["code"]), refusal["message"], refusal["evidence"])
        try:
            series, label, class_label = self._read(file, kind, candidates, references)
        except IngestError as error:
            self.cache.keep_refusal(content, error)
            raise
        self.cache.keep(f"label:{content}", {"series": series, "label": label.model_dump(mode="json"), "class": class_label})
        return self._take(series, label, class_label)

    def _take(self, series: str, label: LabelRef, class_label: str | None) -> LabelRef:
        volume, group = self.volumes[series]
        stated = self._stated.setdefault(series, set())
        stated |= {class_label} if class_label is not None else set()
        # Objects that state different classes state none: whichever comes first must not decide.
        changes: dict[str, object] = {"class_label": next(iter(stated)) if len(stated) == 1 else None}
        if volume.label is None:
            changes["label"] = label
        else:
            changes["further_labels"] = (*volume.further_labels, label)
        self.volumes[series] = volume.model_copy(update=changes), group
        return label

    def _candidates(self, file: FoundFile, kind: ObjectKind, references: References) -> _Candidates:
        """Return the volumes that a label may belong to.

        Raises:
            IngestError: ``LABEL_REFERENCES_MISSING``.
        """
        if kind is ObjectKind.NIFTI:
            beside = {key: pair for key, pair in self.volumes.items() if _lies_beside(file, pair[1])}
            if not beside:
                message = "expected the image series in the folder of the label or below, it is not there or was refused"
                raise IngestError(IngestCode.LABEL_REFERENCES_MISSING, message, {"kind": kind.value})
            return beside
        keys = self._index.referred(references) if references else self._index.in_frame(references)
        if keys:
            return {key: self.volumes[key] for key in sorted(keys)}
        raise IngestError(IngestCode.LABEL_REFERENCES_MISSING, self._why_missing(references), {"kind": kind.value, **_counts(references)})

    def _why_missing(self, references: References) -> str:
        """Say why no accepted volume is one that a label refers to."""
        if not references and not references.frames:
            return "expected a reference to images, series or a frame of reference, the label names none"
        if not references:
            return "expected a volume in the frame of reference of the label, which names no image; there is none, or it was refused"
        named = {uid for uid, _ in (*references.drawn_on, *references.listed)} | references.series
        if named & self.found:
            return "expected the image series of the label among the accepted ones, it is in the source but was refused: see its own reason"
        return "expected the image series of the label in the source, it is not there"

    def _read(self, file: FoundFile, kind: ObjectKind, candidates: _Candidates, references: References) -> tuple[str, LabelRef, str | None]:
        """Read a label onto the one candidate whose grid it fits."""
        source, read = _READERS[kind]
        fits: list[tuple[VolumeRef, BoundLabel]] = []
        errors: list[IngestError] = []
        for volume, group in candidates.values():
            try:
                self.decoded += 1
                names = replace(self.names, images=(group.header,))
                fits.append((volume, read(file, volume.geometry, self.findings(), names)))
            except IngestError as error:
                errors.append(error)
        if not fits:
            raise self._misfit(errors, candidates, references)
        if len(fits) > 1:
            named = ", ".join(said_volume(volume) for volume, _ in fits)
            message = f"expected one volume that the label can belong to, {len(fits)} fit it and nothing says which: {named}"
            raise IngestError(IngestCode.LABEL_AMBIGUOUS, message, {"volumes": len(fits)})
        volume, bound = fits[0]
        headers = (file.header, self.volumes[volume.series_key][1].header)
        class_label = clean_class_label(bound.class_label, headers)
        key = f"labels/{volume.series_key}-{file.digest[:12]}.safetensors"
        label = LabelRef(
            array=self.store.write_tensors(key, {"label": bound.array, **bound.extra}),
            geometry=volume.geometry,
            segments=bound.segments,
            volume_sha256=volume.array.sha256,
            source=source,
            max_deviation_mm=bound.deviation_mm,
            flags=bound.flags,
            evidence=bound.evidence,
        )
        return volume.series_key, label, class_label

    def _misfit(self, errors: list[IngestError], candidates: _Candidates, references: References) -> IngestError:
        """Return the reason why a label fits no candidate: an image it was drawn on that did not come, or its geometry."""
        error = next((one for one in errors if one.ingest_code is not IngestCode.LABEL_GEOMETRY_MISMATCH), errors[0])
        if error.ingest_code is not IngestCode.LABEL_GEOMETRY_MISMATCH:
            return error
        missing = self._index.missing(references.drawn_on)
        if missing:
            message = (
                f"expected all {len(references.drawn_on)} images that the label was drawn on, {missing} of them are not there or were refused; "
                f"{error.message}"
            )
            return IngestError(IngestCode.LABEL_REFERENCES_MISSING, message, {**error.evidence, **_counts(references), "missing": missing})
        named = ", ".join(said_volume(volume) for volume, _ in candidates.values())
        return IngestError(error.ingest_code, f"{error.message} (tried: {named})", error.evidence)


def said_volume(volume: VolumeRef) -> str:
    """Return a volume in a few words: modality, slices x rows x columns, key."""
    return f"{volume.modality} {size_of(volume, ' x ')} ({volume.series_key})"


def _counts(references: References) -> dict[str, int]:
    return {"drawn_on": len(references.drawn_on), "listed": len(references.listed), "series": len(references.series)}


def _lies_beside(file: FoundFile, group: SliceGroup) -> bool:
    """Return whether the series lies in the label's folder or below it: a NIfTI names no patient, its place does."""
    folder = PurePosixPath(file.relative).parent
    return all(PurePosixPath(item.relative).is_relative_to(folder) for item in group.files)
