from __future__ import annotations

import hashlib
import os

import pytest

from data_contracts import MissingDependencyError
from medkd.storage.object_cache import ObjectCache, cache_bytes


def filled(cache, payload):
    sha256 = hashlib.sha256(payload).hexdigest()
    cache.fill(sha256, lambda path: bool(path.write_bytes(payload)))
    return sha256


def test_the_least_recently_used_go_first_and_the_bound_holds(tmp_path):
    cache = ObjectCache(tmp_path, limit=1000)
    names = [filled(cache, bytes([number]) * 200) for number in range(4)]
    for age, name in enumerate(names):
        os.utime(cache.path(name), (1000 + age, 1000 + age))
    assert cache.find(names[0])  # now the one that was used last
    names.append(filled(cache, b"x" * 200))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 1000
    assert [cache.find(name) is not None for name in names] == [True, False, True, True, True]


def test_a_damaged_entry_is_removed_and_brought_again(tmp_path):
    cache = ObjectCache(tmp_path)
    sha256 = filled(cache, b"voxels")
    cache.path(sha256).write_bytes(b"vozels")
    assert cache.find(sha256) is None
    assert not cache.path(sha256).exists()
    filled(cache, b"voxels")
    assert cache.find(sha256).read_bytes() == b"voxels"


def test_what_is_not_there_leaves_nothing(tmp_path):
    cache = ObjectCache(tmp_path)
    assert cache.find("0" * 64) is None
    assert cache.fill("0" * 64, lambda _: False) is None
    with pytest.raises(OSError, match="cut"):
        cache.fill("0" * 64, cut)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def cut(path):
    path.write_bytes(b"half")
    raise OSError("cut")


def test_folder_and_bound_are_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("MEDKD_CACHE_GB", "0.5")
    assert (ObjectCache().folder, ObjectCache().limit) == (tmp_path / "own", 500_000_000)
    monkeypatch.delenv("MEDKD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert ObjectCache().folder == tmp_path / "user" / "medkd" / "objects"
    for wrong in ("many", "-1", "nan"):
        monkeypatch.setenv("MEDKD_CACHE_GB", wrong)
        with pytest.raises(MissingDependencyError, match="MEDKD_CACHE_GB") as caught:
            cache_bytes()
        assert caught.value.code == "CACHE_INVALID"
