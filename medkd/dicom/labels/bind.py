"""Which label belongs to which volume: by what it refers to and by its geometry."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePosixPath

from data_contracts import Action, IngestCode, IngestError, LabelRef, VolumeRef
from medkd.dicom.classify import ObjectKind
from medkd.dicom.confidentiality.class_label import clean_class_label
from medkd.dicom.findings import Findings
from medkd.dicom.found_file import FoundFile
from medkd.dicom.group import SliceGroup
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.labels.bound import BoundLabel, Slices
from medkd.dicom.labels.names import Names
from medkd.dicom.labels.nifti import bind_nifti
from medkd.dicom.labels.references import References, VolumeIndex, segmentation_references, structure_set_references
from medkd.dicom.labels.segmentation import bind_segmentation, segmentation_slices
from medkd.dicom.labels.structure_set import bind_structure_set, structure_set_slices
from medkd.dicom.series_words import size_of
from medkd.storage.store import Store

_READERS = {
    ObjectKind.SEGMENTATION: ("dicom-seg", bind_segmentation),
    ObjectKind.STRUCTURE_SET: ("rtstruct", bind_structure_set),
    ObjectKind.NIFTI: ("nifti", bind_nifti),
}
_SLICES = {ObjectKind.SEGMENTATION: segmentation_slices, ObjectKind.STRUCTURE_SET: structure_set_slices}
_REFERENCES = {ObjectKind.SEGMENTATION: segmentation_references, ObjectKind.STRUCTURE_SET: structure_set_references}
#: Codes by which a label does not fit a volume in space.
_OFF_GRID = (IngestCode.LABEL_GEOMETRY_MISMATCH, IngestCode.CONTOUR_OFF_PLANE)
_Candidates = dict[str, tuple[VolumeRef, SliceGroup]]
#: Series key, label, class of the study.
_Bound = tuple[str, LabelRef, str | None]


@dataclass
class LabelBinder:
    """Binds labels to the volumes of one ingestion.

    Attributes:
        volumes: accepted volumes with the slices they were made of, by series key.
        store: where labels go.
        cache: what earlier runs bound or refused.
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
    found: Container[str] = frozenset()
    decoded: int = 0
    _stated: dict[str, set[str]] = field(default_factory=dict)

    @cached_property
    def _index(self) -> VolumeIndex:
        return VolumeIndex.of(self.volumes)

    def bind(self, file: FoundFile, kind: ObjectKind) -> dict[str, LabelRef]:
        """Bind one label object and return the label of each volume that it was drawn on, by series key.

        Raises:
            IngestError: why it, or a part of it, belongs to no volume.
        """
        references = _REFERENCES[kind](file.header) if kind in _REFERENCES and file.header is not None else References()
        candidates = self._candidates(file, kind, references)
        owners = [self._index.of_part(images, references) for images in references.parts]
        drawn_on = f"{len(references.drawn_on)}/{self._index.missing(references.drawn_on)}/{[sorted(keys) for keys in owners]}"
        known = sorted(f"{key} {volume.array.sha256}" for key, (volume, _) in candidates.items())
        # A NIfTI file is bound by its folder and called by its name: moved or renamed, it is another label.
        content = self.cache.content([file.digest, drawn_on, *known, *([file.relative] if kind is ObjectKind.NIFTI else [])])
        remembered = self.cache.recall(f"label:{content}")
        if remembered is not None:
            found = [(one["series"], LabelRef.model_validate(one["label"]), one["class"]) for one in remembered]
            if all(self.store.verify(label.array) for _, label, _ in found):
                return self._take(found)
        refusal = self.cache.recall(f"refusal:{content}")
        if refusal is not None:
            raise IngestError(IngestCode(refusal["code"]), refusal["message"], refusal["evidence"])
        try:
            found = self._read(file, kind, candidates, references, owners)
        except IngestError as error:
            self.cache.keep_refusal(content, error)
            raise
        kept = [{"series": series, "label": label.model_dump(mode="json"), "class": class_label} for series, label, class_label in found]
        self.cache.keep(f"label:{content}", kept)
        return self._take(found)

    def _take(self, found: list[_Bound]) -> dict[str, LabelRef]:
        for series, label, class_label in found:
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
        return {series: label for series, label, _ in found}

    def _candidates(self, file: FoundFile, kind: ObjectKind, references: References) -> _Candidates:
        """Return the volumes that a label may belong to.

        Raises:
            IngestError: ``LABEL_REFERENCES_MISSING``.
        """
        if kind is ObjectKind.NIFTI:
            # NIfTI and contours lie in space: a picture has none.
            beside = {key: pair for key, pair in self.volumes.items() if pair[0].space is not None and _lies_beside(file, pair[1])}
            if not beside:
                message = "expected the image series in the folder of the label or below, it is not there or was refused"
                raise IngestError(IngestCode.LABEL_REFERENCES_MISSING, message, {"kind": kind.value})
            return beside
        keys = self._index.referred(references) if references else self._index.in_frame(references)
        keys = keys.union(*(self._index.of_part(images, references) for images in references.parts))
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
        if any(uid in self.found for uid in named):
            return "expected the image series of the label among the accepted ones, it is in the source but was refused: see its own reason"
        return "expected the image series of the label in the source, it is not there"

    def _read(
        self, file: FoundFile, kind: ObjectKind, candidates: _Candidates, references: References, owners: list[frozenset[str]]
    ) -> list[_Bound]:
        """Read a label onto the one candidate whose grid it fits, or each of its parts onto the volume that the part was drawn on.

        Args:
            file: of the label.
            kind: of the label.
            candidates: volumes that it may belong to.
            references: what it refers to.
            owners: volumes that each frame or contour was drawn on; none where it names no image, or none that came.
        """
        _, read = _READERS[kind]
        # A volume that a part was not drawn on cannot have the whole label.
        common = frozenset(candidates).intersection(*(keys for keys in owners if keys))
        fits: dict[str, BoundLabel] = {}
        errors: list[IngestError] = []
        for key in sorted(common):
            volume, group = candidates[key]
            try:
                self.decoded += 1
                # What lies between the slices of one volume may lie on those of another.
                findings = self.findings() if len(candidates) == 1 else _exactly(self.findings())
                fits[key] = read(file, volume.geometry, findings, replace(self.names, images=(group.header,)))
            except IngestError as error:
                errors.append(error)
        # Only a misfit in space may mean several volumes; what is wrong otherwise is wrong on each of them.
        off_grid = all(error.ingest_code in _OFF_GRID for error in errors)
        if not fits and off_grid and references and len(candidates) > 1:
            return self._divide(file, kind, candidates, references, owners)
        if not fits:
            raise self._misfit(errors, candidates, references)
        if len(fits) > 1:
            raise _ambiguous(candidates[key][0] for key in fits)
        (key, bound) = fits.popitem()
        self._refuse_strays(file, kind, candidates[key][0], references, owners)
        return [self._keep(file, kind, key, bound)]

    def _divide(
        self, file: FoundFile, kind: ObjectKind, candidates: _Candidates, references: References, owners: list[frozenset[str]]
    ) -> list[_Bound]:
        """Read each frame or contour onto the volume it was drawn on; what names no image goes where it fits, if that is one volume.

        Raises:
            IngestError: when a part belongs to none or to several, or the policy refuses labels on several volumes.
        """
        self.decoded += 1
        slices = _SLICES[kind](file)
        parts: dict[str, set[int]] = {}
        for index, place in enumerate(slices):
            if place is not None:
                parts.setdefault(self._part(place, index, candidates, references, owners), set()).add(index)
        if not parts:
            raise IngestError(IngestCode.EMPTY_LABEL, "expected at least one frame or contour that holds something, there is none")
        for index, place in enumerate(slices):  # what encloses nothing is told of with the volume it names, else with the first
            if place is None:
                key = next((one for one in sorted(owners[index]) if one in parts), min(parts)) if index < len(owners) else min(parts)
                parts[key].add(index)
        summary = {said_volume(candidates[key][0]): len(parts[key]) for key in sorted(parts)}
        message = f"expected a label on one volume, its frames or contours were drawn on {len(summary)}: {', '.join(summary)}"
        names = replace(self.names, images=tuple(candidates[key][1].header for key in sorted(parts)))
        bound: dict[str, BoundLabel] = {}
        for key in sorted(parts):
            findings = self.findings()
            if len(parts) > 1:
                findings.resolve(IngestCode.LABEL_DIVIDED, message, {"parts": summary})
            self.decoded += 1
            bound[key] = _READERS[kind][1](file, candidates[key][0].geometry, findings, names, frozenset(parts[key]))
        return [self._keep(file, kind, key, one) for key, one in bound.items()]

    def _part(self, place: Slices, index: int, candidates: _Candidates, references: References, owners: list[frozenset[str]]) -> str:
        """Return the key of the one volume that a frame or contour belongs to."""
        named = references.parts[index] if index < len(references.parts) else frozenset()
        keys = owners[index] if index < len(owners) else frozenset()
        if named and not keys:
            raise _missing(self._index.missing(references.drawn_on), references)
        fits: list[str] = []
        errors: list[IngestError] = []
        for key in sorted(keys or candidates):
            try:
                place(candidates[key][0].geometry)
                fits.append(key)
            except IngestError as error:
                errors.append(error)
        if not fits:
            raise self._misfit(errors, candidates, references)
        if len(fits) > 1:
            raise _ambiguous(candidates[key][0] for key in fits)
        return fits[0]

    def _refuse_strays(
        self, file: FoundFile, kind: ObjectKind, volume: VolumeRef, references: References, owners: list[frozenset[str]]
    ) -> None:
        """Refuse a label of which a part was drawn on images that did not come, where the part would fall on other images.

        Where the image is missing from the volume itself, its slice is a synthetic one.

        Raises:
            IngestError: ``LABEL_REFERENCES_MISSING``.
        """
        strays = [index for index, keys in enumerate(owners) if references.parts[index] and not keys]
        if not strays:
            return
        self.decoded += 1
        slices = _SLICES[kind](file)
        measured = [
            index
            for index in strays
            if index < len(slices)
            and (place := slices[index]) is not None
            and not set(place(volume.geometry)) <= set(volume.synthetic_slices)
        ]
        if measured:
            raise _missing(self._index.missing(references.drawn_on), references)

    def _keep(self, file: FoundFile, kind: ObjectKind, key: str, bound: BoundLabel) -> _Bound:
        """Store a label of one volume."""
        # Named by its bytes too: the label that the last manifest lists stays whole until the next one is written.
        volume, group = self.volumes[key]
        label = LabelRef(
            array=self.store.write_arrays(f"labels/{key}-{file.digest[:12]}.safetensors", {"label": bound.array, **bound.extra}),
            geometry=volume.geometry,
            segments=bound.segments,
            volume_sha256=volume.array.sha256,
            source=_READERS[kind][0],
            max_deviation_mm=bound.deviation_mm,
            flags=bound.flags,
            evidence=bound.evidence,
        )
        return key, label, clean_class_label(bound.class_label, (file.header, group.header))

    def _misfit(self, errors: list[IngestError], candidates: _Candidates, references: References) -> IngestError:
        """Return the reason why a label fits no candidate: an image it was drawn on that did not come, or its geometry."""
        error = next((one for one in errors if one.ingest_code not in _OFF_GRID), errors[0])
        if error.ingest_code not in _OFF_GRID:
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


def _missing(missing: int, references: References) -> IngestError:
    """Return that a part of a label was drawn on images that did not come."""
    message = (
        f"expected all {len(references.drawn_on)} images that the label was drawn on, {missing} of them are not there or were refused; "
        "what was drawn on them would fall on others"
    )
    return IngestError(IngestCode.LABEL_REFERENCES_MISSING, message, {**_counts(references), "missing": missing})


def _exactly(findings: Findings) -> Findings:
    """Return findings by which nothing is moved onto a grid that it does not lie on."""
    actions = {**findings.policy.actions, **dict.fromkeys(_OFF_GRID, Action.REJECT)}
    return Findings(findings.policy.model_copy(update={"actions": actions}), findings.flags)


def _ambiguous(volumes: Iterable[VolumeRef]) -> IngestError:
    named = [said_volume(volume) for volume in volumes]
    message = f"expected one volume that the label can belong to, {len(named)} fit it and nothing says which: {', '.join(named)}"
    return IngestError(IngestCode.LABEL_AMBIGUOUS, message, {"volumes": len(named)})


def said_volume(volume: VolumeRef) -> str:
    """Return a volume in a few words: modality, slices x rows x columns, key."""
    return f"{volume.modality} {size_of(volume, ' x ')} ({volume.series_key})"


def _counts(references: References) -> dict[str, int]:
    return {"drawn_on": len(references.drawn_on), "listed": len(references.listed), "series": len(references.series)}


def _lies_beside(file: FoundFile, group: SliceGroup) -> bool:
    """Return whether the series lies in the label's folder or below it: a NIfTI names no patient, its place does."""
    folder = PurePosixPath(file.relative).parent
    return all(PurePosixPath(item.relative).is_relative_to(folder) for item in group.files)
