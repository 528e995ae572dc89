"""What no shard of an ingestion knows alone: all of them together, and volumes whose voxels another patient has too."""

from __future__ import annotations

from itertools import chain

import numpy as np

from data_contracts import IngestCode, IngestError, IngestPolicy, VolumeRef
from medkd.dicom.findings import Findings
from medkd.dicom.group import SliceGroup
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.ingest_series import refuse_files
from medkd.dicom.ingest_shard import ShardResult
from medkd.dicom.ledger import Ledger


def merge_shards(results: list[ShardResult]) -> ShardResult:
    """Return what shards came to together, as one that held all their files would have."""
    merged = ShardResult(tuple(chain.from_iterable(one.found for one in results)), np.concatenate([one.keys for one in results]))
    for one in results:
        merged.ledger.merge(one.ledger)
        merged.volumes |= one.volumes
        merged.ranks |= one.ranks
        merged.described |= one.described
        merged.pictures |= one.pictures
        merged.refused_keys |= one.refused_keys
        merged.remembered |= one.remembered
        merged.labels += one.labels
        merged.decoded += one.decoded
    merged.volumes = dict(sorted(merged.volumes.items(), key=lambda pair: merged.ranks[pair[0]]))
    return merged


def refuse_shared_pixels(
    volumes: dict[str, tuple[VolumeRef, SliceGroup]], refused_keys: dict[str, str], cache: IngestCache, ledger: Ledger, policy: IngestPolicy
) -> dict[str, tuple[VolumeRef, SliceGroup]]:
    """Refuse volumes whose voxels another patient has too: one of them carries a wrong name. Return what was taken from ``volumes``.

    Args:
        volumes: that were accepted, by series key; those that are refused are taken out.
        refused_keys: series keys with their first file; those that are refused are added.
        cache: with the volumes of earlier ingestions.
        ledger: of the ingestion.
        policy: of the site.
    """
    owners: dict[str, set[str]] = {}
    # Volumes of earlier ingestions count too: the same image may come under another name a year later.
    kept = (volume for key, volume in cache.volumes.items() if key not in refused_keys)
    for volume in (*kept, *(volume for volume, _ in volumes.values())):
        owners.setdefault(volume.array.sha256, set()).add(volume.patient_key)
    shared = {key: pair for key, pair in volumes.items() if len(owners[pair[0].array.sha256]) > 1}
    for key, (volume, group) in shared.items():
        del volumes[key]
        refused_keys[key] = group.files[0].relative
        ledger.withdraw(group.files)
        message = "expected an image of one patient, another one has the same"
        error = IngestError(IngestCode.PIXEL_IDENTICAL_ACROSS_PATIENTS, message, {"patients": len(owners[volume.array.sha256])})
        refuse_files(ledger, group.files, error, Findings(policy))
    return shared
