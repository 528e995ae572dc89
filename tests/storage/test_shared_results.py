"""Two machines that share nothing but a store: each has a folder and a cache of its own."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch

from data_contracts import Ref, ReportSet, StoreError
from medkd.storage import shared_results
from medkd.storage.object_cache import ObjectCache
from medkd.storage.objects import ObjectStore, object_key
from medkd.storage.shared_results import bring_metrics, leave_metrics, publish_references, publish_store
from medkd.storage.stage import stage
from medkd.storage.store import Store, write_bytes
from medkd.storage.workspace import Workspace

CALLS = []


@stage
def write_nested(workspace: Workspace, number: int) -> ReportSet:
    """Write a record that refers to a record that refers to an array."""
    CALLS.append(number)
    array = workspace.store.write_tensors("a/array.safetensors", {"x": torch.full((2,), float(number))})
    write_bytes(workspace.store.root / "a/inner.json", ReportSet(reports=(array,), pages=(), pictures=(), explanations=()).canonical_json())
    return ReportSet(reports=(workspace.store.refer("a/inner.json"),), pages=(), pictures=(), explanations=())


@pytest.fixture
def machines(tmp_path, monkeypatch):
    """Return two workspaces; each opens the store as a process of its own would."""
    CALLS.clear()
    (tmp_path / "shared").mkdir()
    stores = {name: ObjectStore(str(tmp_path / "shared"), ObjectCache(tmp_path / name / "cache")) for name in ("first", "second")}
    made = [OfMachine(tmp_path / name / "run", "http://127.0.0.1:9", store_uri=name) for name in stores]
    monkeypatch.setattr("medkd.storage.workspace.open_objects", stores.__getitem__)
    return made


class OfMachine(Workspace):
    """A workspace whose store is named by its machine."""


def array_of(workspace, result):
    from data_contracts import load_record

    inner = load_record(workspace.store.path(result.reports[0]), ReportSet)
    return workspace.store.read_tensors(inner.reports[0])["x"].tolist()


def test_another_machine_takes_the_result_and_everything_it_leads_to(machines):
    first, second = machines
    made = write_nested(first, 3)
    assert write_nested(second, 3) == made
    assert CALLS == [3]
    assert array_of(second, made) == [3.0, 3.0]
    write_nested(second, 4)
    assert CALLS == [3, 4]


def test_a_result_of_before_there_was_a_store_is_left_too(machines):
    first, second = machines
    alone = replace(first, store_uri=None)
    made = write_nested(alone, 3)
    write_nested(first, 3)
    assert array_of(second, write_nested(second, 3)) == [3.0, 3.0]
    assert (CALLS, made.reports) == ([3], write_nested(second, 3).reports)


def test_what_is_gone_from_the_store_is_made_again_and_said(machines, tmp_path, caplog):
    first, second = machines
    made = write_nested(first, 3)
    (tmp_path / "shared" / object_key(made.reports[0].sha256)).unlink()
    with caplog.at_level(logging.WARNING):
        write_nested(second, 3)
    assert "runs again" in caplog.text
    assert CALLS == [3, 3]


def test_a_flipped_byte_is_an_error_and_no_other_result(machines, tmp_path):
    first, second = machines
    made = write_nested(first, 3)
    damaged = tmp_path / "shared" / object_key(made.reports[0].sha256)
    payload = bytearray(damaged.read_bytes())
    payload[-1] ^= 1
    damaged.write_bytes(payload)
    taken = write_nested(second, 3)
    with pytest.raises(StoreError) as caught:
        array_of(second, taken)
    assert caught.value.code == "STORE_OBJECT_ALTERED"


def test_a_file_of_that_name_from_another_setting_is_replaced(machines):
    first, second = machines
    write_nested(first, 3)
    write_nested(second, 4)
    assert array_of(second, write_nested(second, 3)) == [3.0, 3.0]
    assert CALLS == [3, 4]


def test_another_store_of_the_run_and_what_calls_refer_to_are_left(machines, tmp_path):
    first, second = machines
    array = Store(first.root / "studies").write_tensors("v.safetensors", {"x": torch.ones(1)})
    inside = first.store.write_tensors("w.safetensors", {"x": torch.zeros(1)})
    records = [ReportSet(reports=(ref,), pages=(), pictures=(), explanations=()) for ref in (array, inside)]
    publish_references(first, *records)
    assert not second.objects.has(array.sha256)
    publish_store(first.store_at("studies"), records[0])
    assert second.store_at("studies").read_tensors(array)["x"].tolist() == [1.0]
    assert second.store.read_tensors(inside)["x"].tolist() == [0.0]


def test_what_is_on_no_machine_is_missing(machines):
    with pytest.raises(StoreError) as caught:
        machines[1].store.read_tensors(Ref(store="run", key="none.safetensors", sha256="0" * 64))
    assert caught.value.code == "STORE_MISSING"


def test_metrics_go_to_the_machine_that_registers(machines, tmp_path):
    first, second = machines
    leave_metrics(first, "a" * 64, tmp_path / "none.jsonl")
    write_bytes(tmp_path / "m.jsonl", b'{"epoch": 1}\n')
    leave_metrics(first, "a" * 64, tmp_path / "m.jsonl")
    bring_metrics(second, "b" * 64, tmp_path / "there" / "none.jsonl")
    assert not (tmp_path / "there").exists()
    bring_metrics(second, "a" * 64, tmp_path / "there" / "m.jsonl")
    assert (tmp_path / "there" / "m.jsonl").read_bytes() == b'{"epoch": 1}\n'


def test_a_record_of_the_shared_store_names_no_place(machines, tmp_path):
    write_nested(machines[0], 3)
    texts = [path.read_bytes() for path in (tmp_path / "shared").rglob("*") if path.is_file()]
    assert len(texts) == 4, "array, record of it, result, and how often it was started"
    assert not any(str(tmp_path).encode() in text for text in texts)
    assert shared_results.take_result(machines[1], "none", ReportSet) is None
