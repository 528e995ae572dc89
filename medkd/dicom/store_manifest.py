"""The manifest that an ingestion leaves, and what it says of how each series was acquired."""

from __future__ import annotations

from collections.abc import Mapping, Set

from data_contracts import StoreManifest, VolumeRef
from medkd.dicom.confidentiality.describe import describe_series
from medkd.dicom.group import SliceGroup
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.raw_values import text_of
from medkd.dicom.series_words import PART, TIME_POINT, TIMES_OF_DAY, sayable
from medkd.dicom.slice_attributes import BETWEEN

Volumes = Mapping[str, tuple[VolumeRef, SliceGroup]]


def store_manifest(volumes: Volumes, refused: Set[str], cache: IngestCache, secret: bytes) -> StoreManifest:
    """Return the manifest of a store after an ingestion: what was there and was not refused now, and what came.

    Args:
        volumes: that were accepted, with their slices, by series key.
        refused: series keys that are in the store no longer.
        cache: with what the store held before.
        secret: key of the pseudonyms.
    """
    # Other sources were ingested into this store before: what they gave is not asked for again and stays.
    kept = {key: volume for key, volume in cache.volumes.items() if key not in refused}
    merged = kept | {key: volume for key, (volume, _) in volumes.items()}
    described = cache.series | {
        key: describe_series(volume, group.header, secret, _acquisition(group, volumes)) for key, (volume, group) in volumes.items()
    }
    return StoreManifest(
        volumes=tuple(merged[key] for key in sorted(merged)), series=tuple(described[key] for key in sorted(described) if key in merged)
    )


def _acquisition(group: SliceGroup, volumes: Volumes) -> str:
    """Return what tells a group from others of its series; of what may not be said (a time of day), which of the series' values it is."""
    series = text_of(group.header, "SeriesInstanceUID")
    alike = [other.acquisition_key.split(BETWEEN) for _, other in volumes.values() if text_of(other.header, "SeriesInstanceUID") == series]
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
