"""What one shard of a source comes to: volumes in the store, and what the end of the ingestion needs to know of them.

A shard is ingested by itself, in any process that sees source and store; what comes back holds the headers of first slices and of labels only.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data_contracts import IngestPolicy, SeriesRecord, VolumeRef
from data_contracts.private import privately
from medkd.dicom.classify import ObjectKind
from medkd.dicom.confidentiality.secret import site_secret
from medkd.dicom.decoders import Decoders, decoders
from medkd.dicom.discover import read_headers
from medkd.dicom.found_file import FoundFile
from medkd.dicom.group import SliceGroup, group_slices
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.ingest_report import NIFTI
from medkd.dicom.ingest_series import SeriesIngestion
from medkd.dicom.ledger import Ledger
from medkd.dicom.qc_picture import draw_volume
from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.read_header import read_file
from medkd.dicom.series_words import nifti_name
from medkd.dicom.shards import Keys, Shard, file_keys
from medkd.dicom.sort_objects import sort_objects
from medkd.dicom.store_manifest import describe_volumes
from medkd.progress import progress_bar
from medkd.storage.store import Store
from medkd.volumes.orientation import write_nifti


@dataclass(frozen=True)
class ShardTarget:
    """Where a shard goes, and how.

    Attributes:
        out: folder of the store.
        policy: what is done about findings.
        nifti: also write NIfTI files.
        progress: show progress bars.
    """

    out: Path
    policy: IngestPolicy
    nifti: bool = False
    progress: bool = False


@dataclass
class ShardResult:
    """What a shard came to.

    Attributes:
        found: its files, most without their headers.
        keys: what binds them to other files, as :func:`medkd.dicom.shards.file_keys`.
        ledger: what became of them.
        volumes: that were accepted, with their slices, by series key.
        ranks: place of each volume among all: the first file of its group of slices, and the frame.
        described: how each was acquired.
        pictures: of each, below the store.
        refused_keys: series keys of refused volumes, with the first file of each.
        labels: objects that belong to volumes of any shard, and what they are.
        remembered: what the next ingestion need not judge again.
        decoded: how many objects were decoded.
        whole: False where only the names of the files were read.
    """

    found: tuple[FoundFile, ...]
    keys: Keys
    ledger: Ledger = field(default_factory=Ledger)
    volumes: dict[str, tuple[VolumeRef, SliceGroup]] = field(default_factory=dict)
    ranks: dict[str, tuple[str, int]] = field(default_factory=dict)
    described: dict[str, SeriesRecord] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)
    refused_keys: dict[str, str] = field(default_factory=dict)
    labels: tuple[tuple[FoundFile, ObjectKind], ...] = ()
    remembered: dict[str, Any] = field(default_factory=dict)
    decoded: int = 0
    whole: bool = True

    def without(self, files: Container[str]) -> ShardResult:
        """Return what came of all files but some, named by their relative paths."""
        kept = [place for place, file in enumerate(self.found) if file.relative not in files]
        stay = {key: pair for key, pair in self.volumes.items() if not any(file.relative in files for file in pair[1].files)}
        return replace(
            self,
            found=tuple(self.found[place] for place in kept),
            keys=self.keys[kept],
            ledger=self.ledger.without(files),
            volumes=stay,
            described={key: self.described[key] for key in stay},
            pictures={key: self.pictures[key] for key in stay},
            refused_keys={key: file for key, file in self.refused_keys.items() if file not in files},
            labels=tuple(pair for pair in self.labels if pair[0].relative not in files),
        )


def ingest_shard_with_site_secret(target: ShardTarget, shard: Shard) -> ShardResult:
    """Ingest with the site's own secret, read here and now, decoding in this process: beside others of its kind it has one core."""
    with privately(), quiet_dicom(), decoders(1) as pool:
        return ingest_shard(target, shard, site_secret(), pool, IngestCache(target.out, target.policy))


def ingest_shard(target: ShardTarget, shard: Shard, secret: bytes, pool: Decoders, cache: IngestCache) -> ShardResult:
    """Read, judge and store the series of a shard.

    Args:
        target: store and policy.
        shard: files; of a part of a folder only their names are read.
        secret: key of the pseudonyms.
        pool: decodes slices.
        cache: what earlier ingestions into the store found.
    """
    found = read_headers(shard.files, progress=target.progress)
    keys = file_keys(found)
    if not shard.whole:
        for file in found:
            file.forget_header(read_file)
        return ShardResult(found, keys, whole=False)
    store, ledger, before = Store(target.out), Ledger(), pool.decoded
    series = SeriesIngestion(secret, store, target.policy, cache, ledger, pool)
    objects = sort_objects(found, ledger, target.policy, series.comparisons)
    ranks: dict[str, tuple[str, int]] = {}
    for group in progress_bar(
        (*group_slices(list(objects.images)), *objects.pictures), title="ingest", unit="series", enabled=target.progress
    ):
        first, there = group.slices[0], len(series.volumes)
        series.ingest_series(group, objects.flags)
        ranks |= dict.fromkeys(list(series.volumes)[there:], (first.file.relative, first.frame))
    result = ShardResult(
        found,
        keys,
        ledger,
        volumes={key: (volume, _slim(group)) for key, (volume, group) in series.volumes.items()},
        ranks=ranks,
        described=describe_volumes(series.volumes, secret),
        pictures={key: draw_volume(store, volume, target.out / "qc" / f"{key}.png") for key, (volume, _) in series.volumes.items()},
        refused_keys=series.refused_keys,
        labels=objects.labels,
        remembered=cache.remembered,
        decoded=pool.decoded - before + series.pictures + series.comparisons.decoded,
    )
    if target.nifti:
        for volume, _ in series.volumes.values():
            # NIfTI says where voxels lie in space: of a picture that would be invented.
            if volume.space is not None:
                write_nifti(store, volume, target.out / NIFTI / nifti_name(volume))
    _forget_headers(result)
    return result


def _slim(group: SliceGroup) -> SliceGroup:
    """Return a group without the functional groups of its slices and what was worked out of them: only where they lie is asked for later."""
    slices, aside = (tuple(replace(item, groups=()) for item in items) for items in (group.slices, group.aside))
    return replace(group, slices=slices, aside=aside, unusable=frozenset())


def _forget_headers(result: ShardResult) -> None:
    """Give back the headers that the end of the ingestion does not need: a source's do not fit into memory together."""
    needed = {group.slices[0].file for _, group in result.volumes.values()} | {file for file, _ in result.labels}
    for file in result.found:
        if file not in needed:
            file.forget_header(read_file)
