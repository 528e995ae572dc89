"""Ingest a folder: every file found is accepted, quarantined or ignored, and what is accepted is verified and de-identified."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Collection, Iterator
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
from medkd.dicom.decoders import decoders
from medkd.dicom.discover import list_source
from medkd.dicom.findings import Findings
from medkd.dicom.found_file import FoundFile
from medkd.dicom.ingest_cache import MANIFEST, IngestCache
from medkd.dicom.ingest_report import label_evidence, reported_series, table_rows
from medkd.dicom.ingest_shard import ShardResult, ShardTarget, ingest_shard
from medkd.dicom.labels.bind import LabelBinder
from medkd.dicom.labels.names import Names
from medkd.dicom.ledger import Ledger
from medkd.dicom.merge_shards import merge_shards, refuse_shared_pixels
from medkd.dicom.quarantine import write_quarantine
from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.series_table import write_series_table
from medkd.dicom.series_words import series_words
from medkd.dicom.shards import SHARD_FILES, NamedInstances, Shard, plan_shards, shards_of_components, spread_components
from medkd.dicom.source import check_source
from medkd.dicom.store_manifest import Volumes, describe_volumes, series_uid, store_manifest
from medkd.dicom.walk_source import readable_name
from medkd.storage.output import STORE, claim
from medkd.storage.store import Store

_SCRATCH, _LOCK = ".medkd-unpacked", ".lock"
#: Files of a shard where shards are ingested one after another: their headers are in memory together, some 30 KiB each.
FILES_HERE = 10_000


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
    with open_ingestion(request) as ingestion, decoders() as pool:
        results: list[ShardResult] = []
        shards = ingestion.shards(most_files=FILES_HERE, split=False)
        while shards:
            results += [ingest_shard(ingestion.target, one, secret, pool, ingestion.cache) for one in shards]
            shards = ingestion.further_shards(results)
        return ingestion.finish(results, secret)


@contextmanager
def open_ingestion(request: IngestRequest) -> Iterator[Ingestion]:
    """Begin an ingestion into a store, which nobody else writes to until it is over.

    Args:
        request: source, store, policy.

    Raises:
        SourceError, OutputError: as :func:`ingest`.
    """
    check_source(request.source, *(() if request.dry_run else (request.out,)))
    with privately(), _folder(request) as out, _alone(out), quiet_dicom():
        try:
            yield Ingestion(replace(request, out=out))
        finally:
            shutil.rmtree(out / _SCRATCH, ignore_errors=True)


class Ingestion:
    """An ingestion under way: shards that are to be ingested, anywhere and in any order, and the end, which needs what they came to.

    Args:
        request: what is ingested; its ``out`` is a folder that nobody else writes to.

    Attributes:
        target: where shards go.
        cache: what earlier ingestions into the store found.
    """

    def __init__(self, request: IngestRequest) -> None:
        self.request, out, policy = request, request.out, request.policy
        self.cache = IngestCache(out, policy)
        self.target = ShardTarget(out, policy, request.nifti, request.progress)
        self._remove_partials()
        follow = policy.action(IngestCode.LINK_OUTSIDE) is Action.ACCEPT_WITH_FLAG
        self._listed = list_source(request.source, out / _SCRATCH, without=(out,), follow=follow)
        self._withdrawn: set[Path] = set()
        self.cache.begin()

    def shards(self, *, most_files: int = SHARD_FILES, split: bool = True) -> list[Shard]:
        """Return the first shards, as :func:`plan_shards`; at least one."""
        return plan_shards(self._listed, most_files=most_files, split=split) or [Shard(())]

    def further_shards(self, results: list[ShardResult]) -> list[Shard]:
        """Return shards of what was not ingested yet, or without the rest of its series or its copies: then that is taken out of ``results``."""
        spread = spread_components([one.keys for one in results], [one.whole for one in results])
        if not spread:
            return []
        found, places = [file for one in results for file in one.found], {one.relative: place for place, one in enumerate(self._listed)}
        components = [sorted(places[found[file].relative] for file in files) for files in spread]
        again = {self._listed[place].relative for files in components for place in files}
        for number, one in enumerate(results):
            results[number] = kept = one.without(again)
            gone = one.volumes.keys() - kept.volumes.keys()
            self._withdrawn |= {self.target.out / one.volumes[key][0].array.key for key in gone} | {one.pictures[key] for key in gone}
        return shards_of_components([self._listed[place] for place in files] for files in sorted(components))

    def finish_with_site_secret(self, results: list[ShardResult]) -> IngestReport:
        """As :meth:`finish`, with the site's own secret."""
        return self.finish(results, site_secret())

    def finish(self, results: list[ShardResult], secret: bytes) -> IngestReport:
        """Bind labels, write the report and, last, the manifest.

        Args:
            results: what the shards came to.
            secret: key of the pseudonyms.
        """
        request, out, policy, cache = self.request, self.request.out, self.request.policy, self.cache
        merged, store = merge_shards(results), Store(out)
        ledger, volumes = merged.ledger, merged.volumes
        cache.remembered.update(merged.remembered)
        shared = refuse_shared_pixels(volumes, merged.refused_keys, cache, ledger, policy)
        described = merged.described | describe_volumes(_of_series(volumes, shared), secret)
        order = {one.relative: place for place, one in enumerate(self._listed)}
        # Labels come after all volumes: one may refer to any of them.
        binder = LabelBinder(volumes, store, cache, lambda: Findings(policy), Names(secret), NamedInstances(merged.keys))
        for file, kind in sorted(merged.labels, key=lambda pair: order[pair[0].relative]):
            _bind(binder, file, kind, ledger)
        manifest = store_manifest(volumes, merged.refused_keys, cache, described)
        words = {
            one.series_key: series_words(volumes[one.series_key][0], one.acquisition)
            for one in manifest.series
            if one.series_key in volumes
        }
        lines = (reported_series(*pair, merged.pictures[key], words[key], described[key]) for key, pair in volumes.items())
        report = IngestReport(
            files=ledger.rows(sorted(merged.found, key=lambda file: order[file.relative])),
            series=tuple(sorted(lines, key=lambda line: line.first_file)),
            manifest=Ref(store=store.name, key=MANIFEST, sha256=manifest.digest()),
            decoded_files=merged.decoded + binder.decoded,
        )
        again = f"medkd ingest {shlex.quote(readable_name(os.path.abspath(request.source)))} --dry-run --json"
        write_quarantine(out, ledger, report, again=again, progress=request.progress)
        write_series_table(out, table_rows(volumes, words, request.source, out))
        self._withdrawn |= {merged.pictures[key] for key in shared} | {out / volume.array.key for volume, _ in shared.values()}
        self._remove_partials()
        self._remove_withdrawn(volumes, [merged.pictures[key] for key in volumes])
        # The manifest is what makes a store: a run that is killed before leaves the one of the run before.
        cache.write()
        cache.finish(manifest)
        return report

    def _remove_partials(self) -> None:
        """Remove what a killed run, or a worker that was lost, left half-written; the lock says that no other run is writing."""
        for stale in self.request.out.rglob(f".*{PARTIAL}"):
            stale.unlink(missing_ok=True)

    def _remove_withdrawn(self, volumes: Volumes, pictures: Collection[Path]) -> None:
        """Remove what was written of volumes that are none in the end; what the manifest before lists goes when the new one is written."""
        kept = {
            self.target.out / volume.array.key for volume, _ in (*volumes.values(), *((one, None) for one in self.cache.volumes.values()))
        }
        for path in self._withdrawn - kept - set(pictures):
            path.unlink(missing_ok=True)


def _of_series(volumes: Volumes, withdrawn: Volumes) -> Volumes:
    """Return the volumes of the series that others were taken from: their time points are counted anew."""
    series = {series_uid(group) for _, group in withdrawn.values()}
    return {key: pair for key, pair in volumes.items() if series and series_uid(pair[1]) in series}


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
