from __future__ import annotations

import hashlib
import pickle

import pytest

from data_contracts import StoreError
from medkd.storage.object_cache import ObjectCache
from medkd.storage.objects import ObjectStore, object_key, open_objects, store_uri


@pytest.fixture
def shared(tmp_path):
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


def store_of(shared, cache):
    return ObjectStore(str(shared), ObjectCache(cache))


def written(objects, folder, payload=b"voxels"):
    path, sha256 = folder / "file", hashlib.sha256(payload).hexdigest()
    path.write_bytes(payload)
    objects.put(path, sha256)
    return sha256


def test_an_object_goes_from_one_machine_to_another(shared, tmp_path):
    sha256 = written(store_of(shared, tmp_path / "first"), tmp_path)
    other = store_of(shared, tmp_path / "second")
    assert other.has(sha256)
    assert other.take(sha256, tmp_path / "place" / "x")
    assert (tmp_path / "place" / "x").read_bytes() == b"voxels"
    (shared / object_key(sha256)).unlink()
    assert other.take(sha256, tmp_path / "place" / "y"), "it lies in the cache"
    assert not store_of(shared, tmp_path / "third").take(sha256, tmp_path / "z")


def test_a_flipped_byte_in_the_store_is_named_and_nothing_is_left(shared, tmp_path):
    sha256 = written(store_of(shared, tmp_path / "first"), tmp_path)
    (shared / object_key(sha256)).write_bytes(b"vozels")
    with pytest.raises(StoreError, match=object_key(sha256)) as caught:
        store_of(shared, tmp_path / "second").take(sha256, tmp_path / "x")
    assert caught.value.code == "STORE_OBJECT_ALTERED"
    assert not (tmp_path / "x").exists()
    assert not [path for path in (tmp_path / "second").rglob("*") if path.is_file()]


def test_a_damaged_cache_is_of_no_consequence(shared, tmp_path):
    objects = store_of(shared, tmp_path / "cache")
    sha256 = written(objects, tmp_path)
    assert objects.take(sha256, tmp_path / "x")
    cached = tmp_path / "cache" / sha256[:2] / sha256
    cached.unlink()
    cached.write_bytes(b"vozels")
    assert objects.take(sha256, tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == cached.read_bytes() == b"voxels"


def test_damaged_bytes_are_not_handed_on(shared, tmp_path):
    (tmp_path / "file").write_bytes(b"vozels")
    with pytest.raises(StoreError) as caught:
        store_of(shared, tmp_path / "cache").put(tmp_path / "file", hashlib.sha256(b"voxels").hexdigest())
    assert caught.value.code == "STORE_ALTERED"
    assert not [path for path in shared.rglob("*") if path.is_file()]


def test_records_are_verified(shared, tmp_path):
    objects = store_of(shared, tmp_path / "cache")
    assert objects.read_record("stages/x.json") is None
    objects.write_record("stages/x.json", b'{"a":1}\n{}')
    assert objects.has_record("stages/x.json")
    assert objects.read_record("stages/x.json") == b'{"a":1}\n{}'
    path = shared / "records" / "stages" / "x.json"
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    with pytest.raises(StoreError, match=r"records/stages/x\.json") as caught:
        objects.read_record("stages/x.json")
    assert caught.value.code == "STORE_OBJECT_ALTERED"


def test_another_process_opens_the_same_place_with_its_own_cache(shared, monkeypatch):
    first = open_objects(str(shared))
    assert pickle.loads(pickle.dumps(first)) is first, "one for each process"
    monkeypatch.setenv("MEDKD_STORE", "")
    assert store_uri() is None
    monkeypatch.setenv("MEDKD_STORE", "s3://bucket/x")
    assert store_uri() == "s3://bucket/x"
