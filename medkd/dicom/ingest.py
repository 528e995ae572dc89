"""Ingest a folder: every file found is accepted, quarantined or ignored, and what is accepted is proved and de-identified."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_contracts import (
    FileOutcome,
    IngestCode,
    IngestedSeries,
    IngestError,
    IngestReport,
    LabelRef,
    MedkdError,
    Outcome,
    Ref,
    SeriesRecord,
    StoreManifest,
    VolumeRef,
    load_record,
)
from medkd.dicom.bind_labels import bind_segmentation
from medkd.dicom.classify import IGNORED_CODES, ObjectKind, classify
from medkd.dicom.decode import decode_series
from medkd.dicom.deidentify import describe_series, pseudonym, site_secret
from medkd.dicom.discover import FoundFile, discover, quiet_dicom
from medkd.dicom.group import SliceGroup, find_conflicts, group_slices
from medkd.dicom.quarantine import quarantine_file
from medkd.dicom.solve_geometry import Solution, solve_geometry
from medkd.progress import progress_bar
from medkd.volumes.orientation import write_nifti
from medkd.volumes.store import Store, write_bytes

MANIFEST = "manifest.json"
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima", "")


@dataclass
class _Ledger:
    """What became of each file so far; a file has one outcome."""

    outcomes: dict[str, FileOutcome] = field(default_factory=dict)
    refused: list[tuple[FoundFile, IngestCode, dict[str, Any]]] = field(default_factory=list)

    def accept(self, file: FoundFile) -> None:
        self.outcomes[file.relative] = FileOutcome(path=file.relative, outcome=Outcome.ACCEPTED)

    def refuse(self, file: FoundFile, code: IngestCode, evidence: dict[str, Any] | None = None, *, ignore: bool = False) -> None:
        outcome = Outcome.IGNORED if ignore else Outcome.QUARANTINED
        text = json.dumps(evidence or {}, sort_keys=True, default=str)
        self.outcomes[file.relative] = FileOutcome(path=file.relative, outcome=outcome, code=code, evidence=text)
        if not ignore:
            self.refused.append((file, code, evidence or {}))


def ingest_folder(source: Path, out: Path, *, secret: bytes, nifti: bool = False, progress: bool = False) -> IngestReport:
    """Ingest DICOM below ``source`` into the store at ``out``.

    Volumes go to ``volumes/``, labels to ``labels/``, refused files to ``quarantine/``; ``manifest.json`` is written last and
    by atomic rename, so that a store is never half-written. Unchanged series are taken from the store without decoding.

    Args:
        source: folder or file.
        out: store folder; an existing store is extended.
        secret: key of the pseudonyms.
        nifti: also write ``nifti/<series>.nii.gz`` per accepted volume.
        progress: show a progress bar.

    Raises:
        SourceError: only when the source cannot be read at all.
    """
    with quiet_dicom():
        return _ingest(source, out, secret, nifti=nifti, progress=progress)


def ingest_with_site_secret(source: Path, out: Path, nifti: bool, progress: bool) -> IngestReport:
    """Ingest with the site's own secret, read here and now: an orchestrator records the arguments of its tasks in clear."""
    return ingest_folder(source, out, secret=site_secret(), nifti=nifti, progress=progress)


def _ingest(source: Path, out: Path, secret: bytes, *, nifti: bool, progress: bool) -> IngestReport:
    found, ledger, store = discover(source), _Ledger(), Store(out)
    images, labels = _sort_files(list(found), ledger)
    known = _known_volumes(out)
    volumes: list[tuple[VolumeRef, SliceGroup]] = []
    groups = group_slices(images)
    for group in progress_bar(groups, title="ingest", unit="series", enabled=progress):
        volume = _ingest_group(group, store, secret, known, ledger)
        if volume is not None:
            volumes.append((volume, group))
    bound = _bind_labels(volumes, labels, store, ledger)
    for file, code, evidence in ledger.refused:
        quarantine_file(out / "quarantine", file, code, evidence)
    if nifti:
        for volume in bound:
            write_nifti(store, volume, out / "nifti" / f"{volume.series_key}.nii.gz")
    merged = {**{key: volume for key, (_, volume) in known.items()}, **{volume.series_key: volume for volume in bound}}
    described = {record.series_key: record for record in _known_series(out)} | {
        volume.series_key: describe_series(volume, group.header) for volume, group in volumes
    }
    manifest = StoreManifest(
        volumes=tuple(merged[key] for key in sorted(merged)), series=tuple(described[key] for key in sorted(described) if key in merged)
    )
    _write_contents(out, volumes, known)
    manifest.write(out / MANIFEST)
    first_files = {volume.series_key: min(file.relative for file in group.files) for volume, group in volumes}
    return IngestReport(
        files=tuple(ledger.outcomes[file.relative] for file in found),
        series=tuple(_line(volume, first_files[volume.series_key]) for volume in bound),
        manifest=Ref(store=store.name, key=MANIFEST, sha256=manifest.digest()),
    )


def _line(volume: VolumeRef, first_file: str) -> IngestedSeries:
    return IngestedSeries(
        volume=volume.array.key, first_file=first_file, residual_mm=volume.geometry.residual_mm, shape=volume.geometry.shape
    )


def _sort_files(found: list[FoundFile], ledger: _Ledger) -> tuple[list[FoundFile], list[FoundFile]]:
    """Return images and segmentations; everything else gets its outcome here."""
    kinds: dict[ObjectKind, list[FoundFile]] = {ObjectKind.IMAGE: [], ObjectKind.SEGMENTATION: []}
    conflicts = find_conflicts(found)
    for file in found:
        if file.code is not None:
            # A text among the images was never meant to be one; a file that calls itself DICOM was.
            foreign = file.code is IngestCode.NOT_DICOM and file.path.suffix.lower() not in _DICOM_SUFFIXES
            ledger.refuse(file, file.code, {"what": file.evidence}, ignore=foreign or file.code in IGNORED_CODES)
        elif file.relative in conflicts:
            ledger.refuse(file, conflicts[file.relative], ignore=conflicts[file.relative] in IGNORED_CODES)
        elif file.header is not None:
            try:
                kinds[classify(file.header)].append(file)
            except IngestError as error:
                ledger.refuse(file, error.ingest_code, error.evidence, ignore=error.ingest_code in IGNORED_CODES)
            except Exception as error:  # a header can be broken in ways no rule foresees; the file is kept, its error named
                ledger.refuse(file, IngestCode.UNREADABLE_HEADER, {"error": type(error).__name__})
    return kinds[ObjectKind.IMAGE], kinds[ObjectKind.SEGMENTATION]


def _ingest_group(
    group: SliceGroup, store: Store, secret: bytes, known: dict[str, tuple[str, VolumeRef]], ledger: _Ledger
) -> VolumeRef | None:
    """Prove, decode and store one group, or quarantine all its files with one reason."""
    try:
        solution = solve_geometry(group.planes())
        key, content = _series_key(group, secret), _content(group)
        if key in known and known[key][0] == content and _intact(known[key][1], store):
            volume = known[key][1]
        else:
            volume = _store_volume(group, solution, key, store, secret)
    except IngestError as error:
        for file in group.files:
            ledger.refuse(file, error.ingest_code, error.evidence)
        return None
    except Exception as error:  # one broken series must not stop the others
        for file in group.files:
            ledger.refuse(file, IngestCode.UNREADABLE_HEADER, {"error": type(error).__name__})
        return None
    for file in group.files:
        ledger.accept(file)
    return volume


def _intact(volume: VolumeRef, store: Store) -> bool:
    return store.verify(volume.array) and (volume.label is None or store.verify(volume.label.array))


def _series_key(group: SliceGroup, secret: bytes) -> str:
    """Return the key of a volume: of its series, and of what splits a series into several volumes."""
    header, planes = group.header, group.planes()
    split = (
        planes.orientation.round(4).tolist(),
        planes.matrix,
        planes.pixel_spacing_mm,
        [str(p) for p in header.get("ImageType", None) or ()],
    )
    echo = str(header.get("EchoNumbers", "")), str(header.get("DiffusionBValue", ""))
    return pseudonym(secret, "series", f"{header.SeriesInstanceUID}|{split}|{echo}")


def _content(group: SliceGroup) -> str:
    return hashlib.sha256("".join(sorted(file.sha256 for file in group.files)).encode()).hexdigest()


def _store_volume(group: SliceGroup, solution: Solution, key: str, store: Store, secret: bytes) -> VolumeRef:
    values, unit, flags = decode_series(tuple(group.files[index] for index in solution.order))
    header = group.header
    frame = str(header.get("FrameOfReferenceUID", ""))
    return VolumeRef(
        array=store.write_tensors(f"volumes/{key}.safetensors", {"volume": values}),
        geometry=solution.geometry,
        unit=unit,
        modality=str(header.get("Modality", "OT"))[:16],
        patient_key=pseudonym(secret, "patient", str(header.PatientID)),
        study_key=pseudonym(secret, "study", str(header.StudyInstanceUID)),
        series_key=key,
        frame_of_reference_key=pseudonym(secret, "frame", frame) if frame else None,
        flags=flags,
    )


def _bind_labels(volumes: list[tuple[VolumeRef, SliceGroup]], labels: list[FoundFile], store: Store, ledger: _Ledger) -> list[VolumeRef]:
    """Bind each segmentation to the one volume that it refers to and whose geometry it fits."""
    result = {volume.series_key: volume for volume, _ in volumes}
    for file in labels:
        candidates = [volume for volume, group in volumes if file.header is not None and _refers(file, group)]
        try:
            if not candidates:
                raise IngestError(
                    IngestCode.LABEL_REFERENCES_MISSING,
                    "expected the image series of the label in the source, it is not there or was refused",
                )
            volume = result[candidates[0].series_key]
            if volume.label is not None and volume.label.source == file.sha256:
                ledger.accept(file)
                continue
            result[volume.series_key] = _with_label(volume, file, store)
            ledger.accept(file)
        except IngestError as error:
            ledger.refuse(file, error.ingest_code, error.evidence)
        except Exception as error:  # one broken label must not stop the others
            ledger.refuse(file, IngestCode.UNREADABLE_HEADER, {"error": type(error).__name__})
    return [result[key] for key in sorted(result)]


def _refers(file: FoundFile, group: SliceGroup) -> bool:
    header = file.header
    if header is None:
        return False
    wanted = {str(item.get("SeriesInstanceUID", "")) for item in header.get("ReferencedSeriesSequence", None) or ()}
    same_frame = str(header.get("FrameOfReferenceUID", "")) == str(group.header.get("FrameOfReferenceUID", "-"))
    return str(group.header.SeriesInstanceUID) in wanted if wanted else same_frame


def _with_label(volume: VolumeRef, file: FoundFile, store: Store) -> VolumeRef:
    bound = bind_segmentation(file, volume.geometry)
    if volume.label is not None:
        raise IngestError(IngestCode.OVERLAPPING_SEGMENTS, "expected one segmentation object per series, this is a second one")
    label = LabelRef(
        array=store.write_tensors(f"labels/{volume.series_key}.safetensors", {"label": bound.array}),
        geometry=volume.geometry,
        segments=bound.segments,
        volume_sha256=volume.array.sha256,
        source=file.sha256,
        max_deviation_mm=bound.deviation_mm,
    )
    return volume.model_copy(update={"label": label, "class_label": bound.class_label})


def _known_volumes(out: Path) -> dict[str, tuple[str, VolumeRef]]:
    """Return content digest and volume of each series that an earlier run stored and committed."""
    contents = out / "contents.json"
    try:
        manifest = load_record(out / MANIFEST, StoreManifest)
        digests = json.loads(contents.read_text(encoding="utf-8")) if contents.is_file() else {}
    except (MedkdError, ValueError):
        return {}
    return {volume.series_key: (digests.get(volume.series_key, ""), volume) for volume in manifest.volumes}


def _known_series(out: Path) -> tuple[SeriesRecord, ...]:
    try:
        return load_record(out / MANIFEST, StoreManifest).series
    except MedkdError:
        return ()


def _write_contents(out: Path, volumes: list[tuple[VolumeRef, SliceGroup]], known: dict[str, tuple[str, VolumeRef]]) -> None:
    digests = {key: content for key, (content, _) in known.items()} | {volume.series_key: _content(group) for volume, group in volumes}
    write_bytes(out / "contents.json", json.dumps(digests, sort_keys=True).encode())
