"""Features of training cases beside a version: read back by their digests, refused where altered, carried along, and left out for a patient."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy

from data_contracts import Ref, RegistryError, Role, TrainingFeatures, TrainingItem
from medkd.inference.nearest_cases import groups_of, nearest_of_others, quantiles_of
from medkd.lineage.graph import NodeState
from medkd.lineage.walk import walk_lineage
from medkd.registry.export_version import export_version
from medkd.registry.import_version import import_versions
from medkd.registry.training_features import (
    ARRAYS,
    PLACE,
    RECORD,
    TAG,
    attach_training_features,
    forget_patient,
    leave_out_patients,
    load_training_features,
    read_training_cases,
)
from medkd.storage.store import Store
from tests.registry.memory_registry import MemoryRegistry
from tests.registry.registered_versions import open_in, publish

KEYS = [f"patient-{number}" for number in range(4) for _ in range(2)]


def made(folder):
    """Return a record of eight items of four patients, and the bytes of its arrays."""
    features = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    items = tuple(TrainingItem(case_key=f"case-{i}", patient_key=key, label="a") for i, key in enumerate(KEYS))
    nearest = nearest_of_others(features, KEYS, np.zeros(8, dtype=np.int64))
    array = Store(folder, "run").write_arrays(f"somewhere/{ARRAYS}", {"features": features, "nearest": nearest})
    record = TrainingFeatures(
        weights_digest="0" * 64, cohort_digest="1" * 64, kind="classification", layer="l", pooling="mean", cases=8, items=items,
        quantiles=quantiles_of(nearest), array=array,
    )  # fmt: skip
    return record, (folder / array.key).read_bytes()


@pytest.fixture
def version(tmp_path):
    registry = MemoryRegistry()
    model = publish(registry, tmp_path, "r-kd")
    record, payload = made(tmp_path)
    attach_training_features(registry, model, record, payload)
    return registry, model, record


def test_they_are_read_back_by_the_digest_of_the_tag(version):
    registry, model, record = version
    assert registry.tags(model)[TAG] == record.digest()
    found = load_training_features(registry, model)
    assert found.record == record
    assert (found.features.shape, found.nearest.shape) == ((8, 3), (8,))


def test_a_version_from_before_has_none(tmp_path):
    registry = MemoryRegistry()
    model = publish(registry, tmp_path, "r-old")
    assert load_training_features(registry, model) is None
    assert leave_out_patients(registry, model, {"patient-0"}) == 0


@pytest.mark.parametrize("name", [RECORD, ARRAYS])
@pytest.mark.parametrize("gone", [False, True])
def test_an_altered_or_missing_file_is_named(version, name, gone):
    registry, model, _ = version
    beside = registry._beside[model.uri]
    beside[f"{PLACE}/{name}"] = None if gone else beside[f"{PLACE}/{name}"][:-1] + b" "
    with pytest.raises(RegistryError, match=name) as caught:
        load_training_features(registry, model)
    assert caught.value.code == "TRAINING_FEATURES_ALTERED"
    assert model.uri in str(caught.value)


@pytest.mark.parametrize(
    "arrays", [{"features": np.zeros((8, 2), np.float32)}, {"features": np.zeros((7, 2)), "nearest": np.zeros(7)}, None]
)
def test_a_file_that_does_not_fit_its_record_is_named(version, tmp_path, arrays):
    path = tmp_path / ARRAYS
    path.write_bytes(b"no tensors" if arrays is None else safetensors.numpy.save(arrays))
    with pytest.raises(RegistryError, match="beside there") as caught:
        read_training_cases(version[2], path, where="there")
    assert caught.value.code == "TRAINING_FEATURES_ALTERED"


def test_a_patient_can_be_left_out_and_is_then_in_no_file(version):
    registry, model, record = version
    assert leave_out_patients(registry, model, {"patient-2", "patient-of-nobody"}) == 2
    found = load_training_features(registry, model)
    assert [one.patient_key for one in found.record.items] == [key for key in KEYS if key != "patient-2"]
    assert found.record.cases == 6
    kept = [place for place, key in enumerate(KEYS) if key != "patient-2"]
    alone = nearest_of_others(found.features, [KEYS[place] for place in kept], groups_of(record.kind, ["a"] * 6))
    np.testing.assert_array_equal(found.nearest, alone)
    assert found.record.quantiles == quantiles_of(alone)
    held = b"".join(registry._beside[model.uri].values())
    assert b"patient-2" not in held
    assert not [case for case in ("case-4", "case-5") if case.encode() in held]
    assert b"case-3" in held
    assert leave_out_patients(registry, model, {"patient-2"}) == 0


def test_a_patient_is_forgotten_beside_every_version_that_has_any(version, tmp_path):
    registry, model, record = version
    others = [publish(registry, tmp_path, name) for name in ("r-other", "r-old")]
    attach_training_features(registry, others[0], record, registry._beside[model.uri][f"{PLACE}/{ARRAYS}"])
    assert forget_patient(registry, "patient-1") == {model.uri: 2, others[0].uri: 2}
    assert forget_patient(registry, "patient-1") == {}


def test_the_whole_of_the_patients_can_be_left_out(version):
    registry, model, _ = version
    assert leave_out_patients(registry, model, set(KEYS)) == 8
    found = load_training_features(registry, model)
    assert (found.record.items, found.record.quantiles, found.record.cases) == ((), {}, 0)


def test_an_export_carries_them_and_a_walk_names_the_altered_file(tmp_path, empty_database):
    origin, site = (open_in(tmp_path / name, empty_database) for name in ("origin", "site"))
    teacher = publish(origin, tmp_path / "origin", "r-teacher", role=Role.TEACHER)
    model = publish(origin, tmp_path / "origin", "r-kd", teacher=teacher)
    record, payload = made(tmp_path)
    attach_training_features(origin, model, record, payload)
    export_version(origin, model.uri, tmp_path / "kd.zip")
    arrived = import_versions(site, tmp_path / "kd.zip")[-1].model
    assert load_training_features(site, arrived).record == record
    export_version(origin, model.uri, tmp_path / "slim.zip", slim=True)
    bare = import_versions(open_in(tmp_path / "bare", empty_database), tmp_path / "slim.zip")[-1].model
    assert load_training_features(open_in(tmp_path / "bare", empty_database), bare) is None
    (path,) = (tmp_path / "origin" / "mlartifacts").rglob(ARRAYS)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    nodes = walk_lineage(open_in(tmp_path / "origin", empty_database), model.uri, tmp_path / "origin").nodes
    (altered,) = [node for node in nodes if node.state is NodeState.ALTERED]
    assert f"{PLACE}/{ARRAYS}" in altered.note


def test_attached_again_they_replace_the_earlier_ones(tmp_path, empty_database):
    registry = open_in(tmp_path / "run", empty_database)
    model = publish(registry, tmp_path / "run", "r-kd")
    record, payload = made(tmp_path)
    attach_training_features(registry, model, record, payload)
    assert leave_out_patients(registry, model, {"patient-0"}) == 2
    assert len(load_training_features(registry, model).record.items) == 6
    held = [path.read_bytes() for path in (tmp_path / "run" / "mlartifacts").rglob("*") if path.is_file()]
    assert not [one for one in held if b"patient-0" in one or b"case-1" in one]
    assert Ref(store="run", key=f"somewhere/{ARRAYS}", sha256=record.array.sha256) == record.array
