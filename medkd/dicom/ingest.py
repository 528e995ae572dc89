"""Ingest a folder: every file found is accepted, quarantined or ignored, and what is accepted is verified and de-identified."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock

from data_contracts import Action, IngestCode, IngestError, IngestPolicy, IngestReport, Ref
from data_contracts.private import FILE_MODE, privately
from data_contracts.record import PARTIAL
from medkd.dicom.classify import ObjectKind
from medkd.dicom.confidentiality.secret import site_secret
from medkd.dicom.decoders import Decoders, decoders
from medkd.dicom.discover import discover
from medkd.dicom.findings import Findings
from medkd.dicom.found_file import FoundFile
from medkd.dicom.group import group_slices
from medkd.dicom.ingest_cache import MANIFEST, IngestCache
from medkd.dicom.ingest_report import NIFTI, label_evidence, reported_series, table_rows
from medkd.dicom.ingest_series import SeriesIngestion
from medkd.dicom.labels.bind import LabelBinder
from medkd.dicom.labels.names import Names
from medkd.dicom.labels.references import INSTANCE, SERIES
from medkd.dicom.ledger import Ledger
from medkd.dicom.qc_picture import draw_volume
from medkd.dicom.quarantine import write_quarantine
from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.raw_values import raw_text
from medkd.dicom.series_table import write_series_table
from medkd.dicom.series_words import nifti_name, series_words
from medkd.dicom.sort_objects import sort_objects
from medkd.dicom.source import check_source
from medkd.dicom.store_manifest import store_manifest
from medkd.dicom.walk_source import readable_name
from medkd.progress import progress_bar
from medkd.storage.output import STORE, claim
from medkd.storage.store import Store
from medkd.volumes.orientation import write_nifti

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
        try:
            return _run(replace(request, out=out), secret, pool)
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


def _run(request: IngestRequest, secret: bytes, pool: Decoders) -> IngestReport:
    """Discover, judge, store, bind, report; the manifest is written last."""
    out, policy = request.out, request.policy
    ledger, store, cache = Ledger(), Store(out), IngestCache(out, policy)
    # What a killed run left half-written; the lock says that no other run is writing.
    for stale in out.rglob(f".*{PARTIAL}"):
        stale.unlink(missing_ok=True)
    follow = policy.action(IngestCode.LINK_OUTSIDE) is Action.ACCEPT_WITH_FLAG
    found = discover(request.source, out / _SCRATCH, without=(out,), follow=follow, progress=request.progress)
    series = SeriesIngestion(secret, store, policy, cache, ledger, pool)
    objects = sort_objects(found, ledger, policy, series.comparisons)
    groups = group_slices(list(objects.images))
    cache.begin()
    for group in progress_bar(groups, title="ingest", unit="series", enabled=request.progress):
        series.ingest_series(group, objects.flags)
    series.refuse_shared_pixels()
    # Labels come after all volumes: one may refer to any of them.
    binder = LabelBinder(series.volumes, store, cache, lambda: Findings(policy), Names(secret), _named_in(found))
    for file, kind in objects.labels:
        _bind(binder, file, kind, ledger)
    pictures = {key: draw_volume(store, volume, out / "qc" / f"{key}.png") for key, (volume, _) in series.volumes.items()}
    if request.nifti:
        for volume, _ in series.volumes.values():
            write_nifti(store, volume, out / NIFTI / nifti_name(volume))
    manifest = store_manifest(series.volumes, series.refused_keys, cache, secret)
    words = {
        one.series_key: series_words(series.volumes[one.series_key][0], one.acquisition)
        for one in manifest.series
        if one.series_key in series.volumes
    }
    lines = (reported_series(*pair, pictures[key], words[key]) for key, pair in series.volumes.items())
    report = IngestReport(
        files=ledger.rows(found),
        series=tuple(sorted(lines, key=lambda line: line.first_file)),
        manifest=Ref(store=store.name, key=MANIFEST, sha256=manifest.digest()),
        decoded_files=pool.decoded + series.comparisons.decoded + binder.decoded,
    )
    again = f"medkd ingest {shlex.quote(readable_name(os.path.abspath(request.source)))} --dry-run --json"
    write_quarantine(out, ledger, report, again=again, progress=request.progress)
    write_series_table(out, table_rows(series.volumes, words, request.source, out))
    # The manifest is what makes a store: a run that is killed before leaves the one of the run before.
    cache.write()
    cache.finish(manifest)
    return report


def _bind(binder: LabelBinder, file: FoundFile, kind: ObjectKind, ledger: Ledger) -> None:
    """Bind one label; its outcome goes into the ledger."""
    try:
        labels = binder.bind(file, kind)
        for label in labels.values():
            ledger.note(file, label.flags)
        ledger.accept(file, label_evidence(labels))
    except IngestError as error:
        ledger.refuse(file, error.ingest_code, {"what": error.message, **error.evidence})
    except Exception as error:  # one broken label must not stop the others
        ledger.refuse(file, IngestCode.UNREADABLE_HEADER, {"error": type(error).__name__})


def _named_in(found: tuple[FoundFile, ...]) -> frozenset[str]:
    """Return the instances and series of all objects that were found, whatever became of them."""
    headers = [file.header for file in found if file.header is not None]
    return frozenset(raw_text(header, tag) for header in headers for tag in (INSTANCE, SERIES)) - {""}
