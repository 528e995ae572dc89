"""Features of training cases beside a version: attached at its registration, read back verified, and without a patient who is to be left out."""

from __future__ import annotations

import tempfile
from collections.abc import Set
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from data_contracts import ModelRef, RegistryError, TrainingFeatures, load_record
from medkd.inference.nearest_cases import TrainingCases, groups_of, nearest_of_others, quantiles_of
from medkd.registry.interface import Registry
from medkd.storage.store import sha256_file, write_bytes

#: Tag of a version with the digest of the record; where record and features lie beside the version, and under which names.
TAG, PLACE = "medkd.training_features", "training_features"
RECORD, ARRAYS = "training_features.json", "training_features.safetensors"


def attach_training_features(registry: Registry, model: ModelRef, record: TrainingFeatures, array: bytes) -> None:
    """Put features of training cases beside their version, with the record's digest as a tag; earlier ones are replaced.

    Args:
        registry: holds the version.
        model: the version.
        record: what the features are of.
        array: bytes of the file that it names.
    """
    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        paths = [write_bytes(Path(scratch) / ARRAYS, array), write_bytes(Path(scratch) / RECORD, record.canonical_json())]
        registry.attach(model, {PLACE: paths}, {TAG: record.digest()})


def load_training_features(registry: Registry, model: ModelRef) -> TrainingCases | None:
    """Return the features of the training cases of a version, every byte verified; None of a version that has none.

    Raises:
        RegistryError: ``TRAINING_FEATURES_ALTERED``, naming the file.
    """
    digest = registry.tags(model).get(TAG)
    if digest is None:
        return None
    record = load_record(_verified(registry, model, RECORD, digest), TrainingFeatures)
    return read_training_cases(record, _verified(registry, model, ARRAYS, record.array.sha256), where=model.uri)


def read_training_cases(record: TrainingFeatures, path: Path, *, where: str) -> TrainingCases:
    """Return a record with its features, whose bytes are verified already.

    Args:
        record: what the features are of.
        path: of their file.
        where: what it lies beside, for an error.

    Raises:
        RegistryError: ``TRAINING_FEATURES_ALTERED`` where the file does not hold a row for each item.
    """
    try:
        arrays = safetensors.numpy.load(path.read_bytes())
    except SafetensorError as error:
        raise _altered(ARRAYS, where, f"it is no safetensors file ({error})") from error
    features, nearest = arrays.get("features"), arrays.get("nearest")
    if features is None or nearest is None or not len(features) == len(nearest) == len(record.items):
        raise _altered(ARRAYS, where, f"it does not hold features of {len(record.items)} items")
    return TrainingCases(record, features, nearest)


def leave_out_patients(registry: Registry, model: ModelRef, patients: Set[str]) -> int:
    """Attach the features of a version again without what is of some patients, and return how many items were left out.

    Distances and quantiles are those of the items that stay. The version itself is what was trained: its weights and its training manifest
    are not changed by this.

    Args:
        registry: holds the version.
        model: the version.
        patients: keys of the patients.

    Raises:
        RegistryError: ``TRAINING_FEATURES_ALTERED``.
    """
    known = load_training_features(registry, model)
    stays = [] if known is None else [row for row, item in enumerate(known.record.items) if item.patient_key not in patients]
    if known is None or len(stays) == len(known.record.items):
        return 0
    items, features = tuple(known.record.items[row] for row in stays), known.features[stays]
    nearest = nearest_of_others(features, [one.patient_key for one in items], groups_of(known.record.kind, [one.label for one in items]))
    payload = safetensors.numpy.save({"features": np.ascontiguousarray(features), "nearest": nearest})
    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        digest = sha256_file(write_bytes(Path(scratch) / ARRAYS, payload))
    record = known.record.model_copy(
        update={
            "items": items,
            "cases": len({one.case_key for one in items}),
            "quantiles": quantiles_of(nearest),
            "array": known.record.array.model_copy(update={"sha256": digest}),
        }
    )
    attach_training_features(registry, model, record, payload)
    return len(known.record.items) - len(stays)


def forget_patient(registry: Registry, patient: str) -> dict[str, int]:
    """Leave a patient out of the features of every version, and return how many items were left out of each that had any, by its URI.

    Args:
        registry: whose versions are gone through.
        patient: key of the patient.

    Raises:
        RegistryError: ``TRAINING_FEATURES_ALTERED``; versions before that one are done.
    """
    versions = [one.model for one in registry.listed() if TAG in one.tags]
    found = {model.uri: leave_out_patients(registry, model, {patient}) for model in versions}
    return {uri: count for uri, count in found.items() if count}


def _verified(registry: Registry, model: ModelRef, name: str, digest: str) -> Path:
    path = registry.fetch_attached(model.uri, f"{PLACE}/{name}")
    found = None if path is None else sha256_file(path)
    if path is None or found != digest:
        raise _altered(name, model.uri, "it is gone" if found is None else f"the file has sha256 {found[:12]}", digest[:12])
    return path


def _altered(name: str, where: str, came: str, digest: str = "") -> RegistryError:
    wanted = f"{name} {digest}".strip()
    return RegistryError(
        "TRAINING_FEATURES_ALTERED",
        f"expected {wanted} beside {where} as it was attached, {came}; run its recipe again, which attaches it anew, or import the version again",
    )
