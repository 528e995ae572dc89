"""The data of a run, hashed again."""

from __future__ import annotations

import shutil

import pytest

from data_contracts import NetworkSpec, Task
from medkd.lineage.graph import NodeKind, NodeState
from medkd.lineage.walk import walk_lineage
from tests.registered import register_tiny
from tests.registry.registered_versions import open_in


@pytest.fixture
def with_data(tmp_path, empty_database):
    """Return a run whose version was trained on a cohort of its store, split by a stage whose record is sealed."""
    import hashlib
    import json

    folder = tmp_path / "trained"
    open_in(folder, empty_database)
    uri = register_tiny(folder, Task(kind="classification", classes=("a", "b"), image_size=(16, 16)), NetworkSpec(builder="resnet"))
    registry = open_in(folder, empty_database)
    cohort = hashlib.sha256((folder / "store" / "tiny.json").read_bytes()).hexdigest()
    split = {
        "schema_version": "cohort_set/2", "certificates": [],
        "uses": {"teacher_train": {"cohort": {"store": "run", "key": "tiny.json", "sha256": cohort}, "part": "train"}},
    }  # fmt: skip
    payload = json.dumps(split, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(payload).hexdigest()
    assert registry.contents(uri).tags["medkd.split_digest"] == digest
    (folder / "stages").mkdir()
    (folder / "stages" / "prepare_cohorts-1.json").write_bytes(payload)
    (folder / "stages" / "prepare_cohorts-1.sha256").write_text(digest)
    return folder, uri


def test_the_data_of_a_run_are_walked_and_what_differs_there_is_named(with_data):
    folder, uri = with_data
    graph = walk_lineage(open_in(folder, folder / "mlflow.db"), uri, folder)
    assert {node.kind: node.state for node in graph.nodes if node.kind in (NodeKind.DATASET, NodeKind.SPLIT)} == {
        NodeKind.DATASET: NodeState.VERIFIED, NodeKind.SPLIT: NodeState.VERIFIED
    }  # fmt: skip
    image = folder / "store" / "models" / "tiny.safetensors"
    image.write_bytes(image.read_bytes() + b"x")
    (altered,) = walk_lineage(open_in(folder, folder / "mlflow.db"), uri, folder).altered
    assert (altered.kind, altered.note) == (NodeKind.DATASET, "store/models/tiny.safetensors")
    (folder / "stages" / "prepare_cohorts-1.json").write_text("{}")
    (altered,) = walk_lineage(open_in(folder, folder / "mlflow.db"), uri, folder).altered
    assert (altered.kind, altered.note) == (NodeKind.SPLIT, "stages/prepare_cohorts-1.json")
    shutil.rmtree(folder / "stages")
    assert not walk_lineage(open_in(folder, folder / "mlflow.db"), uri, folder).altered
    without = walk_lineage(open_in(folder, folder / "mlflow.db"), uri, None)
    assert [node.note for node in without.nodes if node.kind is NodeKind.SPLIT] == ["no run folder was named"]
