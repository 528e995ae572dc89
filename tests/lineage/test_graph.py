"""A lineage as data."""

from __future__ import annotations

import json

from medkd.lineage.graph import LineageGraph, LineageNode, NodeKind, NodeState

GRAPH = LineageGraph(
    "models:/r-kd/1",
    (
        LineageNode(NodeKind.TEACHER, "r-teacher/1", "a" * 64, files=3),
        LineageNode(NodeKind.STUDENT, "r-kd/1", "b" * 64, NodeState.ALTERED, "card.json", ("teacher:r-teacher/1",)),
        LineageNode(NodeKind.FEEDBACK, "none registered", state=NodeState.NONE),
    ),
)


def test_a_node_is_named_by_kind_and_name():
    assert [node.key for node in GRAPH.nodes] == ["teacher:r-teacher/1", "student:r-kd/1", "feedback:none registered"]


def test_only_what_differs_counts_as_altered():
    assert GRAPH.altered == GRAPH.nodes[1:2]
    assert LineageGraph("models:/r-kd/1").altered == ()


def test_plain_values_name_what_was_altered_and_keep_parents_and_states():
    plain = json.loads(json.dumps(GRAPH.as_json()))
    assert (plain["uri"], plain["altered"]) == ("models:/r-kd/1", ["card.json"])
    assert plain["nodes"][1] == {
        "kind": "student", "name": "r-kd/1", "digest": "b" * 64, "state": "altered", "note": "card.json",
        "parents": ["teacher:r-teacher/1"], "files": 0,
    }  # fmt: skip


def test_kinds_stand_in_the_order_of_descent():
    kinds = [kind.value for kind in NodeKind]
    assert kinds == ["dataset", "split", "teacher", "knowledge", "student", "explanations", "reports", "feedback"]
