"""A lineage as a drawing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

from medkd.lineage.draw_lineage import draw_lineage
from medkd.lineage.graph import LineageGraph, LineageNode, NodeKind, NodeState


def test_a_drawing_is_well_formed_shows_every_node_and_escapes_names():
    kinds = (NodeKind.TEACHER, NodeKind.KNOWLEDGE, NodeKind.STUDENT, NodeKind.EXPLANATIONS, NodeKind.REPORTS, NodeKind.FEEDBACK)
    chain = [LineageNode(kind, f"{kind.value}-1", "b" * 64) for kind in kinds]
    linked = (chain[0], *(replace(node, parents=(above.key,)) for above, node in pairwise(chain)))
    graph = LineageGraph("models:/r-kd/1", linked)
    odd = LineageNode(NodeKind.FEEDBACK, "<b> & 'c'", state=NodeState.ALTERED, note='"', parents=(graph.nodes[2].key,))
    many = tuple(LineageNode(NodeKind.EXPLANATIONS, f"explanation-{number:012d}", "a" * 64) for number in range(20))
    drawn = draw_lineage(LineageGraph(graph.uri, (*graph.nodes, *many, odd)))
    root = ElementTree.fromstring(drawn)
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 1 + 5 + 12 + 1
    assert any("<b> & 'c'" in title for title in titles)
    assert "and 9 more, none of them altered" in drawn
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
    assert drawn == draw_lineage(LineageGraph(graph.uri, (*graph.nodes, *many, odd)))
