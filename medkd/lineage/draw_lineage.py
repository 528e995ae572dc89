"""A lineage as an SVG: a column per kind, data at the left, what readers said at the right; no network, no fonts of its own."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from medkd.lineage.graph import LineageGraph, LineageNode, NodeKind, NodeState

_WIDTH, _HEIGHT, _GAP, _ROW, _MARGIN, _TOP = 208, 64, 44, 82, 20, 74
#: Boxes that a column shows; the rest are counted.
_MOST = 12
_LETTERS = 23
#: A sign beside the colour: who sees no colours, or prints in grey, reads the same.
_SIGNS = {NodeState.VERIFIED: "✓", NodeState.UNREACHABLE: "?", NodeState.ALTERED: "✗", NodeState.NONE: "–"}
_STYLE = """
.paper { fill: #ffffff } .box { fill: #f4f6f8; stroke: #5b6673 } .line { fill: none; stroke: #5b6673; stroke-width: 1.3 }
.text { fill: #14191f } .faint { fill: #48525e } .verified { fill: #1b6e3a } .unreachable { fill: #8a5a00 } .altered { fill: #b3161c }
.none { fill: #5b6673 } .tip { fill: #5b6673 } text { font-family: system-ui, sans-serif; font-size: 13px } .small { font-size: 11px }
.head { font-size: 14px; font-weight: 600 }
@media (prefers-color-scheme: dark) {
.paper { fill: #14181d } .box { fill: #20262d; stroke: #93a0ae } .line { stroke: #93a0ae } .text { fill: #f0f3f6 } .faint { fill: #b9c3cd }
.verified { fill: #62d18b } .unreachable { fill: #f0b64a } .altered { fill: #ff8a80 } .none, .tip { fill: #93a0ae } }
"""


def draw_lineage(graph: LineageGraph) -> str:
    """Return the SVG of a lineage; the same graph gives the same bytes."""
    columns = {kind: [node for node in graph.nodes if node.kind is kind] for kind in NodeKind}
    present = [kind for kind, nodes in columns.items() if nodes]
    places = {
        node.key: (_MARGIN + column * (_WIDTH + _GAP), _TOP + row * _ROW)
        for column, kind in enumerate(present)
        for row, node in enumerate(columns[kind][:_MOST])
    }
    most = max((min(len(columns[kind]), _MOST + 1) for kind in present), default=1)
    size = (2 * _MARGIN + len(present) * (_WIDTH + _GAP) - _GAP, _TOP + most * _ROW + _MARGIN)
    return "\n".join(_lines(graph, columns, places, size)) + "\n"


def _lines(
    graph: LineageGraph, columns: dict[NodeKind, list[LineageNode]], places: dict[str, tuple[int, int]], size: tuple[int, int]
) -> Iterator[str]:
    width, height = size
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">'
    yield f"<title>Lineage of {escape(graph.uri)}</title>"
    yield f"<style>{_STYLE}</style>"
    yield '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    yield '<path class="tip" d="M0 0 L8 4 L0 8 z"/></marker></defs>'
    yield f'<rect class="paper" width="{width}" height="{height}"/>'
    yield f'<text class="text head" x="{_MARGIN}" y="28">Lineage of {escape(graph.uri)}</text>'
    yield from (
        _arrow(places[parent], places[node.key]) for node in graph.nodes for parent in node.parents if {parent, node.key} <= set(places)
    )
    for column, (kind, nodes) in enumerate((kind, nodes) for kind, nodes in columns.items() if nodes):
        x = _MARGIN + column * (_WIDTH + _GAP)
        yield f'<text class="faint" x="{x}" y="{_TOP - 14}">{kind.value}</text>'
        yield from (_box(node, *places[node.key]) for node in nodes[:_MOST])
        if len(nodes) > _MOST:
            yield f'<text class="faint" x="{x}" y="{_TOP + _MOST * _ROW + 16}">and {len(nodes) - _MOST} more, {_altered(nodes[_MOST:])}</text>'
    yield "</svg>"


def _altered(nodes: list[LineageNode]) -> str:
    count = sum(node.state is NodeState.ALTERED for node in nodes)
    return f"{count} of them altered" if count else "none of them altered"


def _arrow(begin: tuple[int, int], end: tuple[int, int]) -> str:
    """Return the curve from the right of one box to the left of another: past boxes in between below them, within a column at the left."""
    left, top = begin[0] + _WIDTH, begin[1] + _HEIGHT // 2
    right, bottom = end[0], end[1] + _HEIGHT // 2
    if begin[0] == end[0]:
        left, bend = begin[0], -_GAP // 2
        return (
            f'<path class="line" marker-end="url(#tip)" d="M{left} {top} C{left + bend} {top} {right + bend} {bottom} {right} {bottom}"/>'
        )
    bend = _GAP // 2
    if right - left > _GAP:
        below = begin[1] + (_HEIGHT + _ROW) // 2
        past = f"C{left + bend} {top} {left + bend} {below} {left + _GAP} {below} L{right - _GAP} {below} C{right - bend} {below} "
    else:
        past = f"C{left + bend} {top} "
    return f'<path class="line" marker-end="url(#tip)" d="M{left} {top} {past}{right - bend} {bottom} {right} {bottom}"/>'


def _box(node: LineageNode, x: int, y: int) -> str:
    state = "unreachable" if node.state is NodeState.UNREACHABLE else node.state.value
    said = f"{_SIGNS[node.state]} {node.state.value}" + (f", {node.files} file{'s' if node.files != 1 else ''}" if node.files else "")
    whole = f"{node.kind.value} {node.name}\n{node.digest}\n{node.note}".strip()
    return (
        f'<g><title>{escape(whole)}</title><rect class="box" x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="5"/>'
        f'<rect class="{state}" x="{x}" y="{y}" width="6" height="{_HEIGHT}" rx="3"/>'
        f'<text class="text" x="{x + 15}" y="{y + 20}">{escape(_short(node.name))}</text>'
        f'<text class="faint small" x="{x + 15}" y="{y + 37}">{escape(node.digest[:16])}</text>'
        f'<text class="{state} small" x="{x + 15}" y="{y + 54}">{escape(said)}</text></g>'
    )


def _short(name: str) -> str:
    """Return a name that fits its box: the middle is left out, since names differ at their ends."""
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS // 2]}…{name[-(_LETTERS - _LETTERS // 2 - 1) :]}"
