"""The walk from the data to what readers said: every byte that can be reached is hashed again and compared with what was recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from data_contracts import Lineage, RegistryError, Role, TrainingManifest, load_record
from medkd.lineage.dataset import RunData
from medkd.lineage.graph import LineageGraph, LineageNode, NodeKind, NodeState
from medkd.registry.descent import descent, knowledge_behind, resolve, resolve_teacher
from medkd.registry.interface import KNOWLEDGE_TAG, NO_KNOWLEDGE, TRAINING_MANIFEST, Registry, VersionContents
from medkd.storage.store import sha256_file

_KINDS = {Role.TEACHER: NodeKind.TEACHER, Role.KNOWLEDGE: NodeKind.KNOWLEDGE, Role.STUDENT: NodeKind.STUDENT}
_NO_DIGEST = "attached before digests were kept"


def walk_lineage(registry: Registry, uri: str, run: Path | None) -> LineageGraph:
    """Return the lineage of a version: data, split, teachers, knowledge, itself, explanations, reports, feedback, all hashed again.

    What was altered is said in the graph and raises nothing here, so that the whole walk can be shown.

    Args:
        registry: that holds the version.
        uri: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        run: folder of the run, for its data; None where only the registry is known.

    Raises:
        RegistryError: ``VERSION_UNKNOWN``, or as :func:`medkd.registry.descent.teacher_chain`.
    """
    asked = registry.contents(uri)
    data = RunData(run)
    nodes: dict[str, LineageNode] = {}
    for model in descent(registry, asked.model, asked.tags.get(KNOWLEDGE_TAG))[:-1]:
        _add(nodes, _version_nodes(registry, registry.contents(model.uri), data))
    _add(nodes, _version_nodes(registry, asked, data))
    _add(nodes, _attached_nodes(registry, asked))
    order = list(NodeKind)
    return LineageGraph(asked.model.uri, tuple(sorted(nodes.values(), key=lambda node: order.index(node.kind))))


def require_unaltered(graph: LineageGraph) -> None:
    """Refuse a lineage in which a byte differs.

    Raises:
        RegistryError: ``LINEAGE_ALTERED``, naming the first file and how many things were altered.
    """
    if graph.altered:
        first = graph.altered[0]
        more = f" and {len(graph.altered) - 1} more" if len(graph.altered) > 1 else ""
        raise RegistryError(
            "LINEAGE_ALTERED",
            f"expected the lineage of {graph.uri} as it was recorded, {first.kind} {first.name} was altered{more}: {first.note}; "
            "put it back from a copy",
        )


def _add(nodes: dict[str, LineageNode], found: Iterator[LineageNode]) -> None:
    """Add nodes; what several versions share, a split, descends from what it is for any of them."""
    for node in found:
        known = nodes.get(node.key, node)
        nodes[node.key] = replace(known, parents=tuple(dict.fromkeys((*known.parents, *node.parents))))


def _version_nodes(registry: Registry, contents: VersionContents, data: RunData) -> Iterator[LineageNode]:
    """Yield a version after its data, its split, and its teacher where that is not registered here."""
    model = contents.model
    node = LineageNode(_KINDS[model.role], f"{model.name}/{model.version}", model.manifest_digest)
    trained_on: TrainingManifest | None = None
    try:
        _, folder = registry.fetch(model.uri)
        node = replace(node, files=sum(1 for path in folder.rglob("*") if path.is_file()))
        if (folder / TRAINING_MANIFEST).is_file():
            trained_on = load_record(folder / TRAINING_MANIFEST, TrainingManifest)
    except RegistryError as error:
        node = replace(node, state=NodeState.ALTERED, note=f"{model.uri}: {error.message}")
    parents: list[str] = []
    if "medkd.split_digest" in contents.tags:
        above = data.nodes(contents.tags["medkd.split_digest"], trained_on)
        yield from above
        parents.append(above[-1].key)
    if model.teacher is not None:
        teacher = resolve_teacher(registry, model)
        above_it = (
            _absent(NodeKind.TEACHER, model.teacher) if teacher is None else f"{_KINDS[teacher.role]}:{teacher.name}/{teacher.version}"
        )
        if isinstance(above_it, LineageNode):
            yield above_it
        parents.append(above_it if isinstance(above_it, str) else above_it.key)
        learned_from = contents.tags.get(KNOWLEDGE_TAG)
        known = () if teacher is None or model.role is Role.KNOWLEDGE else knowledge_behind(registry, teacher, learned_from)
        parents += [f"{NodeKind.KNOWLEDGE}:{one.name}/{one.version}" for one in known]
        if not known and learned_from not in (None, NO_KNOWLEDGE):
            absent = _absent(NodeKind.KNOWLEDGE, Lineage.model_validate(learned_from))
            yield absent
            parents.append(absent.key)
    for lineage in model.further_teachers:
        further = resolve(registry, lineage)
        if further is None:
            missing = _absent(NodeKind.TEACHER, lineage)
            yield missing
            parents.append(missing.key)
        else:
            parents.append(f"{_KINDS[further.role]}:{further.name}/{further.version}")
    yield replace(node, parents=tuple(parents))


def _absent(kind: NodeKind, lineage: Lineage) -> LineageNode:
    return LineageNode(kind, f"{lineage.name}/{lineage.version}", lineage.manifest_digest, NodeState.UNREACHABLE, "not registered here")


def _attached_nodes(registry: Registry, contents: VersionContents) -> Iterator[LineageNode]:
    """Yield what stands beside a version; kinds of which nothing is registered are said so."""
    model = contents.model
    subject = f"{_KINDS[model.role]}:{model.name}/{model.version}"
    groups: dict[tuple[NodeKind, str], dict[str, str]] = {}
    for place, digest in contents.attached.items():
        groups.setdefault(_group_of(place), {})[place] = digest
    names = {name for kind, name in groups if kind is NodeKind.EXPLANATIONS}
    last = subject
    for kind in (NodeKind.EXPLANATIONS, NodeKind.REPORTS, NodeKind.FEEDBACK):
        own = {name: files for (one, name), files in sorted(groups.items()) if one is kind}
        for name, files in own.items():
            explained = f"explanation-{contents.tags.get(f'medkd.report.{name}', '').removeprefix('explanation ')}"
            parent = f"{NodeKind.EXPLANATIONS}:{explained}" if explained in names else last if kind is NodeKind.FEEDBACK else subject
            yield _attached_node(registry, contents, LineageNode(kind, name, parents=(parent,)), files)
        if not own:
            yield LineageNode(kind, "none registered", state=NodeState.NONE, parents=(last,))
        last = f"{kind}:{next(iter(own), 'none registered')}"


def _group_of(place: str) -> tuple[NodeKind, str]:
    """Return which thing an attached file belongs to: previews to their explanation, page and picture to their report."""
    parts = PurePosixPath(place).parts
    if parts[0] == "previews" and len(parts) > 2:
        return NodeKind.EXPLANATIONS, f"explanation-{parts[1]}"
    kind = NodeKind.REPORTS if parts[0] == "reports" else NodeKind.FEEDBACK if parts[0] == "feedback" else NodeKind.EXPLANATIONS
    if parts[0] in ("explanations", "reports", "feedback") and len(parts) > 1:
        return kind, re.sub(r"\.(zip|json)$", "", parts[1])
    return kind, parts[0]


def _attached_node(registry: Registry, contents: VersionContents, node: LineageNode, files: dict[str, str]) -> LineageNode:
    state, note = NodeState.VERIFIED, ""
    for place, digest in files.items():
        path = registry.fetch_attached(contents.model.uri, place)
        if path is None or (digest and sha256_file(path) != digest):
            how = "is missing" if path is None else "differs"
            return replace(
                node, digest=digest, state=NodeState.ALTERED, note=f"{place} beside {contents.model.uri} {how}", files=len(files)
            )
        if not digest:
            state, note = NodeState.UNREACHABLE, f"{place}: {_NO_DIGEST}"
    return replace(node, digest=next(iter(files.values())), state=state, note=note, files=len(files))
