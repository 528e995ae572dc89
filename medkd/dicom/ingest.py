"""Ingest a folder: every file found is accepted, quarantined or ignored, and what is accepted is verified and de-identified."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from filelock import FileLock

from data_contracts import (
    Action,
    IngestCode,
    IngestedSeries,
    IngestError,
    IngestPolicy,
    IngestReport,
    LabelRef,
    Ref,
    StoreManifest,
    VolumeRef,
)
from data_contracts.private import FILE_MODE, privately
from data_contracts.record import PARTIAL
from medkd.dicom.assemble import Decoders, SeriesKeys, decoders, store_volume
from medkd.dicom.classify import ObjectKind, classify
from medkd.dicom.compare import same_image, same_slice
from medkd.dicom.confidentiality.describe import describe_series
from medkd.dicom.confidentiality.secret import pseudonym, site_secret
from medkd.dicom.decode import decode_error
from medkd.dicom.discover import UNREAD, FoundFile, discover, quiet_dicom, readable_name
from medkd.dicom.findings import Findings
from medkd.dicom.group import SliceGroup, find_conflicts, group_slices, judge_headers, split_repeated
from medkd.dicom.ingest_cache import MANIFEST, IngestCache
from medkd.dicom.labels.bind import LabelBinder
from medkd.dicom.labels.names import Names
from medkd.dicom.labels.nifti import is_nifti
from medkd.dicom.labels.references import INSTANCE, SERIES
from medkd.dicom.ledger import Ledger
from medkd.dicom.qc_picture import draw_volume
from medkd.dicom.quarantine import write_quarantine
from medkd.dicom.raw_values import raw_text, text_of
from medkd.dicom.series_table import write_series_table
from medkd.dicom.series_words import PART, TIME_POINT, TIMES_OF_DAY, nifti_name, sayable, series_words
from medkd.dicom.slices import BETWEEN, Slice, slices_of
from medkd.dicom.solve_geometry import solve_geometry
from medkd.dicom.source import check_source
from medkd.progress import progress_bar
from medkd.storage.output import STORE, claim
from medkd.storage.store import Store
from medkd.volumes.orientation import write_nifti

NIFTI = "nifti"
_SCRATCH, _LOCK = ".medkd-unpacked", ".lock"


@dataclass(frozen=True)
class IngestRequest:
    """What is ingested, and how.

    Attributes:
        source: folder, file, zip archive or DICOMDIR.
        out: store folder; an existing store is extended.
        policy: what is done about findings.
        nifti: also write ``nifti/MODALITY-PLANE-SIZE-SERIES.nii.gz`` per accepted volume.
        dry_run: judge everything, keep nothing.
        progress: show progress bars.
        made_for: what ``out`` is claimed for (see ``medkd.storage.output``).
    """

    source: Path
    out: Path
    policy: IngestPolicy = field(default_factory=IngestPolicy)
    nifti: bool = False
    dry_run: bool = False
    progress: bool = False
    made_for: str = STORE


def ingest_with_site_secret(request: IngestRequest) -> IngestReport:
    """Ingest with the site's own secret, read here and now: an orchestrator records the arguments of its tasks in clear."""
    return ingest(request, secret=site_secret())


def ingest(request: IngestRequest, *, secret: bytes) -> IngestReport:
    """Ingest DICOM into a store.

    Volumes go to ``volumes/``, labels to ``labels/``, pictures to ``qc/``, refused files to ``quarantine/``; ``manifest.json`` is
    written last and by atomic rename, so that a store is never half-written. Unchanged series are taken from the store without decoding.

    Args:
        request: source, store, policy.
        secret: key of the pseudonyms.

    Raises:
        SourceError: when the source cannot be read at all, or is a store itself.
        OutputError: when ``out`` is not ours, holds the source, lies in it, or cannot be written to.
    """
    check_source(request.source, *(() if request.dry_run else (request.out,)))
    with privately(), _folder(request) as out, _alone(out), quiet_dicom(), decoders() as pool:
        ingestion = _Ingestion(replace(request, out=out), secret, pool)
        try:
            return ingestion.run()
        finally:
            shutil.rmtree(out / _SCRATCH, ignore_errors=True)


@contextmanager
def _folder(request: IngestRequest) -> Iterator[Path]:
    """Give the store's folder, or one that is thrown away: a dry run does everything and keeps nothing."""
    if not request.dry_run:
        yield claim(request.out, request.made_for)
        return
    with TemporaryDirectory(prefix="medkd-dry-run-") as folder:
        yield Path(folder)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Let one ingestion at a time write to a store; another one waits. The lock ends with its process, however that ends."""
    with FileLock(out / _LOCK, mode=FILE_MODE):
        yield


class _Ingestion:
    """One run over one source."""

    def __init__(self, request: IngestRequest, secret: bytes, pool: Decoders) -> None:
        self.request, self.secret, self.pool = request, secret, pool
        self.ledger, self.store = Ledger(), Store(request.out)
        self.cache = IngestCache(request.out, request.policy)
        self.volumes: dict[str, tuple[VolumeRef, SliceGroup]] = {}
        self.refused_keys: set[str] = set()
        self.classified: dict[FoundFile, dict[IngestCode, dict[str, Any]]] = {}
        self.compared = 0

    def run(self) -> IngestReport:
        """Discover, judge, store, bind, report; the manifest is written last."""
        # What a killed run left half-written; the lock says that no other run is writing.
        for stale in self.request.out.rglob(f".*{PARTIAL}"):
            stale.unlink(missing_ok=True)
        follow = self.request.policy.action(IngestCode.LINK_OUTSIDE) is Action.ACCEPT_WITH_FLAG
        scratch, progress = self.request.out / _SCRATCH, self.request.progress
        found = discover(self.request.source, scratch, without=(self.request.out,), follow=follow, progress=progress)
        images, labels = self._sort(found)
        groups = group_slices(images)
        self.cache.begin()
        for group in progress_bar(groups, title="ingest", unit="series", enabled=self.request.progress):
            self._ingest_series(group)
        self._refuse_shared_pixels()
        binder = LabelBinder(self.volumes, self.store, self.cache, self._findings, Names(self.secret), _named_in(found))
        for file, kind in labels:
            self._bind(binder, file, kind)
        pictures = {
            key: draw_volume(self.store, volume, self.request.out / "qc" / f"{key}.png") for key, (volume, _) in self.volumes.items()
        }
        if self.request.nifti:
            for volume, _ in self.volumes.values():
                write_nifti(self.store, volume, self.request.out / NIFTI / nifti_name(volume))
        manifest = self._manifest()
        words = {
            one.series_key: series_words(self.volumes[one.series_key][0], one.acquisition)
            for one in manifest.series
            if one.series_key in self.volumes
        }
        report = IngestReport(
            files=self.ledger.rows(found),
            series=tuple(
                sorted((_line(*pair, pictures[key], words[key]) for key, pair in self.volumes.items()), key=lambda line: line.first_file)
            ),
            manifest=Ref(store=self.store.name, key=MANIFEST, sha256=manifest.digest()),
            decoded_files=self.pool.decoded + self.compared + binder.decoded,
        )
        again = f"medkd ingest {shlex.quote(readable_name(os.path.abspath(self.request.source)))} --dry-run --json"
        write_quarantine(self.request.out, self.ledger, report, again=again, progress=self.request.progress)
        write_series_table(self.request.out, self._rows(words))
        self.cache.write()
        self.cache.finish(manifest)
        return report

    def _findings(self) -> Findings:
        return Findings(self.request.policy)

    def _sort(self, found: tuple[FoundFile, ...]) -> tuple[list[Slice], list[tuple[FoundFile, ObjectKind]]]:
        """Return the slices of all images, and the labels; everything else gets its outcome here."""
        images: list[Slice] = []
        labels: list[tuple[FoundFile, ObjectKind]] = []
        conflicts = find_conflicts(list(found), self._same_image)
        for file in found:
            self.ledger.note(file, file.notes)
            findings = self._findings()
            try:
                if is_nifti(Path(file.relative)) and file.code not in UNREAD:
                    labels.append((file, ObjectKind.NIFTI))
                    continue
                if not self.ledger.admit(file, findings) or file.header is None:
                    continue
                if file.relative in conflicts:
                    self.ledger.refuse(file, conflicts[file.relative])
                    continue
                kind = classify(file.header, findings)
                if findings.flags:
                    self.classified[file] = dict(findings.flags)
                if kind is ObjectKind.IMAGE:
                    images.extend(slices_of(file))
                else:
                    labels.append((file, kind))
            except IngestError as error:
                broken = file.pixels is not None and not file.pixels.whole
                # What breaks off is the cause of whatever else is missing.
                code = IngestCode.TRUNCATED_PIXELS if broken else error.ingest_code
                self.ledger.note(file, {error.ingest_code, *self._autopsy(file)})
                self.ledger.refuse(file, code, {"what": error.message, **error.evidence})
            except Exception as error:  # a header can be broken in ways no rule foresees; the file is kept, its error named
                self.ledger.refuse(file, IngestCode.UNREADABLE_HEADER, {"error": type(error).__name__})
            self.ledger.note(file, set(findings.flags))
        return images, labels

    def _autopsy(self, file: FoundFile) -> set[IngestCode]:
        """Return whether the pixels of a refused image could not be decoded or used: what else is wrong with it belongs into the ledger too."""
        if file.header is None or file.pixels is None or "Rows" not in file.header:
            return set()
        name = f"autopsy:{file.digest}"
        known = self.cache.recall(name)
        if known is None:
            self.compared += 1
            known = decode_error(file) or ""
            self.cache.keep(name, known)
        lookup = {IngestCode.NONLINEAR_LUT} if "ModalityLUTSequence" in file.header else set()
        return lookup | ({IngestCode(known)} if known else set())

    def _ingest_series(self, group: SliceGroup) -> None:
        """Verify, decode and store what one group of slices gives; a refusal is the outcome of all its files."""
        findings = self._findings()
        for file in group.files:
            self.ledger.note(file, file.notes)
        try:
            self._judge_files(group, findings)
            parts = split_repeated(group, findings, self._same_slice)
        except IngestError as error:
            self._refuse(group.files, error, findings)
            return
        except Exception as error:  # one broken series must not stop the others
            named = IngestError(IngestCode.UNREADABLE_HEADER, "expected readable headers", {"error": type(error).__name__})
            self._refuse(group.files, named, findings)
            return
        for part in parts:
            self._ingest_volume(part, replace(findings, flags=dict(findings.flags)))

    def _judge_files(self, group: SliceGroup, findings: Findings) -> None:
        """Settle what the files themselves lack, before the geometry: that is the cause which is to be named."""
        for file in group.files:
            if file.code is IngestCode.MISSING_META:
                findings.note(file.code, {"action": Action.REPAIR.value})
            for code, evidence in self.classified.get(file, {}).items():
                findings.note(code, evidence)
            if file.pixels is not None and not file.pixels.whole:
                few = len(group.slices) > 2 * sum(1 for item in group.slices if item.file is file)
                message = "expected whole pixel data, they reach beyond the end of the file"
                findings.resolve(IngestCode.TRUNCATED_PIXELS, message, {"file": file.relative}, repairable=few)
        judge_headers(group, findings)
        if group.lone is not None:
            raise IngestError(
                group.lone, f"expected slices like the rest of their series, {len(group.slices)} differ", {"slices": len(group.slices)}
            )

    def _ingest_volume(self, group: SliceGroup, findings: Findings) -> None:
        key = self._series_key(group)
        files = group.files
        content = self.cache.content([item.place for item in group.slices])
        try:
            if group.refusal is not None:
                raise group.refusal
            for code, message, evidence in group.notes:
                findings.resolve(code, message, evidence)
            volume = self.cache.recall_volume(key, content)
            if volume is None:
                volume = self._store_volume(group, findings, key)
            else:
                volume = volume.model_copy(update={"label": None, "further_labels": (), "class_label": None})
            self.cache.keep(f"volume:{key}", content)
        except IngestError as error:
            self.cache.keep_refusal(content, error)
            self.refused_keys.add(key)
            self._refuse(files, error, findings)
            return
        except Exception as error:  # one broken series must not stop the others
            self.refused_keys.add(key)
            named = IngestError(IngestCode.UNREADABLE_HEADER, "expected readable pixels", {"error": type(error).__name__})
            self._refuse(files, named, findings)
            return
        self.volumes[key] = volume, group
        for file in files:
            self.ledger.note(file, set(volume.flags))
            self.ledger.accept(file)

    def _store_volume(self, group: SliceGroup, findings: Findings, key: str) -> VolumeRef:
        header = group.header
        frame = text_of(header, "FrameOfReferenceUID")
        keys = SeriesKeys(
            # The policy let the study stand for a person who has no identifier; medkd deidentify does the same.
            patient=pseudonym(self.secret, "patient", text_of(header, "PatientID").strip() or text_of(header, "StudyInstanceUID")),
            study=pseudonym(self.secret, "study", text_of(header, "StudyInstanceUID")),
            series=key,
            frame_of_reference=pseudonym(self.secret, "frame", frame) if frame else None,
        )
        solution = solve_geometry(group.planes(), findings)
        return store_volume(group, solution, keys, self.store, findings, self.pool)

    def _refuse_shared_pixels(self) -> None:
        """Refuse volumes whose voxels another patient has too: one of them carries a wrong name."""
        owners: dict[str, set[str]] = {}
        kept = (volume for key, volume in self.cache.volumes.items() if key not in self.refused_keys)
        for volume in (*kept, *(volume for volume, _ in self.volumes.values())):
            owners.setdefault(volume.array.sha256, set()).add(volume.patient_key)
        for key, (volume, group) in list(self.volumes.items()):
            if len(owners[volume.array.sha256]) > 1:
                del self.volumes[key]
                self.refused_keys.add(key)
                self.ledger.withdraw(group.files)
                message = "expected an image of one patient, another one has the same"
                error = IngestError(IngestCode.PIXEL_IDENTICAL_ACROSS_PATIENTS, message, {"patients": len(owners[volume.array.sha256])})
                self._refuse(group.files, error, self._findings())

    def _series_key(self, group: SliceGroup) -> str:
        """Return the key of a volume: of its series, and of what splits a series into several volumes."""
        first = group.slices[0]
        orientation = (np.round(first.orientation, 3) + 0.0).tolist()
        split = (orientation, first.matrix, [round(v, 4) for v in first.spacing_mm], first.contrast, group.acquisition_key)
        return pseudonym(self.secret, "series", f"{text_of(group.header, 'SeriesInstanceUID')}|{split}")

    def _refuse(self, files: tuple[FoundFile, ...], error: IngestError, findings: Findings) -> None:
        for file in files:
            self.ledger.note(file, set(findings.flags))
            self.ledger.refuse(file, error.ingest_code, {"what": error.message, **error.evidence})

    def _bind(self, binder: LabelBinder, file: FoundFile, kind: ObjectKind) -> None:
        try:
            labels = binder.bind(file, kind)
            for label in labels.values():
                self.ledger.note(file, label.flags)
            self.ledger.accept(file, _told(labels))
        except IngestError as error:
            self.ledger.refuse(file, error.ingest_code, {"what": error.message, **error.evidence})
        except Exception as error:  # one broken label must not stop the others
            self.ledger.refuse(file, IngestCode.UNREADABLE_HEADER, {"error": type(error).__name__})

    def _same_slice(self, first: Slice, second: Slice) -> bool:
        """Return whether two slices hold the same, as far as possible from memory."""
        name = "same:" + "|".join(sorted((first.place, second.place)))
        known = self.cache.recall(name)
        if known is None:
            self.compared += 2
            known = same_slice(first, second)
            self.cache.keep(name, known)
        return bool(known)

    def _same_image(self, first: FoundFile, second: FoundFile) -> bool:
        return same_image(first, second, self._same_slice)

    def _moment(self, group: SliceGroup) -> str:
        """Return what tells a group from others of its series; of what may not be said (a time of day), which of the series' values it is."""
        series = text_of(group.header, "SeriesInstanceUID")
        alike = [
            other.acquisition_key.split(BETWEEN)
            for _, other in self.volumes.values()
            if text_of(other.header, "SeriesInstanceUID") == series
        ]
        said = []
        for place, part in enumerate(group.acquisition_key.split(BETWEEN) if group.acquisition_key else ()):
            keyword, _, value = part.partition("=")
            if sayable(keyword, value):
                said.append(part)
                continue
            values = sorted({other[place] for other in alike if len(other) > place and other[place].partition("=")[0] == keyword})
            said.append(f"{TIME_POINT if keyword in TIMES_OF_DAY else PART}={values.index(part) + 1}")
        return BETWEEN.join(said)

    def _rows(self, words: dict[str, str]) -> Iterator[dict[str, str]]:
        """Yield the lines of the table that leads from a series to its source."""
        for key, (volume, group) in self.volumes.items():
            names = sorted(file.relative for file in group.files)
            nifti = f"{NIFTI}/{nifti_name(volume)}"
            yield {
                "series_key": key,
                "words": words[key],
                "nifti": nifti if (self.request.out / nifti).is_file() else "",
                "source": os.path.abspath(self.request.source),
                "first_file": names[0],
                "files": str(len(names)),
            }

    def _manifest(self) -> StoreManifest:
        kept = {key: volume for key, volume in self.cache.volumes.items() if key not in self.refused_keys}
        merged = kept | {key: volume for key, (volume, _) in self.volumes.items()}
        described = self.cache.series | {
            key: describe_series(volume, group.header, self.secret, self._moment(group)) for key, (volume, group) in self.volumes.items()
        }
        return StoreManifest(
            volumes=tuple(merged[key] for key in sorted(merged)), series=tuple(described[key] for key in sorted(described) if key in merged)
        )


def _named_in(found: tuple[FoundFile, ...]) -> frozenset[str]:
    """Return the instances and series of all objects that were found, whatever became of them."""
    headers = [file.header for file in found if file.header is not None]
    return frozenset(raw_text(header, tag) for header in headers for tag in (INSTANCE, SERIES)) - {""}


def _told(labels: dict[str, LabelRef]) -> dict[str, Any]:
    """Return what was met in a label object, by code; what differs between its volumes, by code and series key."""
    shared: dict[str, Any] = {}
    for code in sorted({code for label in labels.values() for code in label.evidence}):
        found = {key: json.loads(label.evidence[code]) for key, label in labels.items() if code in label.evidence}
        alike = len(labels) == 1 or (len(found) == len(labels) and all(one == next(iter(found.values())) for one in found.values()))
        shared[code.value] = next(iter(found.values())) if alike else found
    return shared


def _line(volume: VolumeRef, group: SliceGroup, picture: Path, words: str) -> IngestedSeries:
    return IngestedSeries(
        volume=volume.array.key,
        first_file=min(file.relative for file in group.files),
        residual_mm=volume.geometry.residual_mm,
        shape=volume.geometry.shape,
        flags=volume.flags,
        synthetic_slices=len(volume.synthetic_slices),
        picture=f"qc/{picture.name}",
        series_key=volume.series_key,
        words=words,
    )
