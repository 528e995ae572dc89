from __future__ import annotations

import hashlib

import pytest
import safetensors.torch
import torch

from data_contracts import KnowledgeError, Ref, StoreError
from medkd.knowledge.shards import Shard, ShardReader, finished_keys, write_shard
from medkd.storage.store import Store

KEYS = [hashlib.sha256(bytes([i])).hexdigest() for i in range(5)]


def entry(i):
    return {"logits": bytes([i]) * (i + 3), "features/last": b"", "maps/cam": bytes([200 + i])}


@pytest.fixture
def shelf_of(tmp_path):
    def make(*keys, query_digest="a", name="one"):
        store = Store(tmp_path)
        path = tmp_path / f"{name}.safetensors"
        write_shard(path, {key: entry(KEYS.index(key)) for key in keys}, query_digest=query_digest)
        return store, Ref(store="store", key=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())

    return make


def test_every_part_of_every_entry_comes_back(shelf_of):
    store, first = shelf_of(*KEYS[:3])
    _, second = shelf_of(*KEYS[3:], name="two")
    reader = ShardReader(store, [first, second], query_digest="a")
    assert len(reader) == 5
    for i, key in enumerate(KEYS):
        assert {part: bytes(reader.read(key, part)) for part in entry(i)} == entry(i)


def test_what_is_not_there_is_said(shelf_of):
    store, ref = shelf_of(*KEYS[:2])
    reader = ShardReader(store, [ref], query_digest="a")
    for key, part in ((KEYS[4], "logits"), (KEYS[0], "maps/lime")):
        with pytest.raises(KnowledgeError) as caught:
            reader.read(key, part)
        assert caught.value.code == "KNOWLEDGE_MISSING"


def test_another_question_and_altered_bytes_are_refused(shelf_of, tmp_path):
    store, ref = shelf_of(KEYS[0])
    with pytest.raises(KnowledgeError, match="another teacher") as caught:
        ShardReader(store, [ref], query_digest="b")
    assert caught.value.code == "KNOWLEDGE_FOREIGN"
    path = tmp_path / ref.key
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(StoreError) as altered:
        ShardReader(store, [ref], query_digest="a")
    assert altered.value.code == "KNOWLEDGE_ALTERED"


@pytest.mark.parametrize("kind", ["text", "tensors"])
def test_a_file_that_is_no_shard_is_refused_and_not_taken_for_finished(tmp_path, kind):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"no" if kind == "text" else safetensors.torch.save({"a": torch.zeros(1)}))
    with pytest.raises(StoreError) as caught:
        Shard(path)
    assert caught.value.code == "KNOWLEDGE_UNREADABLE"
    assert finished_keys(path, "a") is None
    assert finished_keys(tmp_path / "none", "a") is None


def test_there_is_no_pickle_in_a_shard(shelf_of, tmp_path):
    shelf_of(*KEYS)
    assert not (tmp_path / "one.safetensors").read_bytes().count(b"\x80\x04\x95")
