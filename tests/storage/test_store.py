from __future__ import annotations

import pytest
import torch

from data_contracts import StoreError
from medkd.storage.store import Store, sha256_file, write_bytes


def test_what_is_written_is_read_back(tmp_path):
    store = Store(tmp_path)
    values = {"a": torch.arange(6).reshape(2, 3), "b": torch.rand(2)}
    ref = store.write_tensors("x/y.safetensors", values)
    assert all(torch.equal(values[name], value) for name, value in store.read_tensors(ref).items())
    assert ref.sha256 == sha256_file(tmp_path / "x/y.safetensors")
    assert store.verify(ref)


def test_arrays_are_the_tensors_without_torch(tmp_path):
    store = Store(tmp_path)
    ref = store.write_tensors("x", {"a": torch.arange(6).reshape(2, 3), "b": torch.rand(2)})
    for name, value in store.read_tensors(ref).items():
        assert (store.read_arrays(ref)[name] == value.numpy()).all()
    (tmp_path / "x").write_bytes(b"y")
    with pytest.raises(StoreError) as caught:
        store.read_arrays(ref)
    assert caught.value.code == "STORE_ALTERED"


def test_one_flipped_byte_is_found(tmp_path):
    store = Store(tmp_path)
    ref = store.write_tensors("x.safetensors", {"a": torch.zeros(100)})
    payload = bytearray(store.path(ref).read_bytes())
    payload[-7] ^= 1
    store.path(ref).write_bytes(payload)
    assert not store.verify(ref)
    with pytest.raises(StoreError) as caught:
        store.read_tensors(ref)
    assert caught.value.code == "STORE_ALTERED"


def test_missing_and_foreign_references_have_their_codes(tmp_path):
    store = Store(tmp_path)
    ref = store.write_tensors("x.safetensors", {"a": torch.zeros(1)})
    with pytest.raises(StoreError) as caught:
        Store(tmp_path / "other").read_tensors(ref)
    assert caught.value.code == "STORE_MISSING"
    with pytest.raises(StoreError) as caught:
        Store(tmp_path, "elsewhere").read_tensors(ref)
    assert caught.value.code == "STORE_FOREIGN"


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_bytes(tmp_path / "x", b"old")

    def fail(_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
