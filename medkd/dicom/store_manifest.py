"""The manifest that an ingestion leaves, and what it says of how each series was acquired."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from data_contracts import SeriesRecord, StoreManifest, VolumeRef
from medkd.dicom.confidentiality.describe import describe_series
from medkd.dicom.coordinates import series_coordinates
from medkd.dicom.group import SliceGroup
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.raw_values import text_of
from medkd.dicom.series_words import PART, TIME_POINT, TIMES_OF_DAY, sayable
from medkd.dicom.slice_attributes import BETWEEN

Volumes = Mapping[str, tuple[VolumeRef, SliceGroup]]


def store_manifest(volumes: Volumes, refused: Collection[str], cache: IngestCache, described: Mapping[str, SeriesRecord]) -> StoreManifest:
    """Return the manifest of a store after an ingestion: what was there and was not refused now, and what came.

    Args:
        volumes: that were accepted, with their slices, by series key.
        refused: series keys that are in the store no longer.
        cache: with what the store held before.
        described: what :func:`describe_volumes` says of the volumes.
    """
    # Other sources were ingested into this store before: what they gave is not asked for again and stays.
    kept = {key: volume for key, volume in cache.volumes.items() if key not in refused}
    merged = kept | {key: volume for key, (volume, _) in volumes.items()}
    records = {**cache.series, **described}
    return StoreManifest(
        volumes=tuple(merged[key] for key in sorted(merged)), series=tuple(records[key] for key in sorted(records) if key in merged)
    )


def describe_volumes(volumes: Volumes, secret: bytes) -> dict[str, SeriesRecord]:
    """Return what a manifest says of how volumes were acquired, by series key.

    Args:
        volumes: with their slices, by series key; of a series all that were accepted, for its time points are counted.
        secret: key of the pseudonyms.
    """
    series: dict[str, list[str]] = defaultdict(list)
    for key, (_, group) in volumes.items():
        series[series_uid(group)].append(key)
    described: dict[str, SeriesRecord] = {}
    for keys in series.values():
        groups = [volumes[key][1] for key in keys]
        alike = [group.acquisition_key.split(BETWEEN) for group in groups]
        said = [_acquisition(group, alike) for group in groups]
        for key, group, moments, coordinates in zip(keys, groups, said, series_coordinates(groups, said), strict=True):
            described[key] = describe_series(volumes[key][0], group.header, secret, moments, coordinates)
    return described


def series_uid(group: SliceGroup) -> str:
    """Return the SeriesInstanceUID of a group."""
    return text_of(group.header, "SeriesInstanceUID")


def _acquisition(group: SliceGroup, alike: list[list[str]]) -> str:
    """Return what tells a group from others of its series; of what may not be said (a time of day), which of the series' values it is."""
    said = []
    for place, part in enumerate(group.acquisition_key.split(BETWEEN) if group.acquisition_key else ()):
        keyword, _, value = part.partition("=")
        if sayable(keyword, value):
            said.append(part)
            continue
        # Sorted as text, which orders times of day as they passed: the later time point has the larger number.
        values = sorted({other[place] for other in alike if len(other) > place and other[place].partition("=")[0] == keyword})
        said.append(f"{TIME_POINT if keyword in TIMES_OF_DAY else PART}={values.index(part) + 1}")
    return BETWEEN.join(said)
