"""A lineage as data: what descends from what, and whether each thing is still what it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class NodeKind(StrEnum):
    """What a thing of a lineage is, in the order of descent."""

    DATASET = "dataset"
    SPLIT = "split"
    TEACHER = "teacher"
    KNOWLEDGE = "knowledge"
    STUDENT = "student"
    EXPLANATIONS = "explanations"
    REPORTS = "reports"
    FEEDBACK = "feedback"


class NodeState(StrEnum):
    """What hashing a thing again gave."""

    VERIFIED = "verified"
    UNREACHABLE = "not reachable"
    ALTERED = "altered"
    NONE = "none"


@dataclass(frozen=True)
class LineageNode:
    """One thing of a lineage.

    Attributes:
        kind: what it is.
        name: what it is called, unique within its kind.
        digest: sha256 that it was recorded under; empty where none was.
        state: what hashing it again gave.
        note: which file was altered, or why it cannot be reached.
        parents: keys of what it descends from.
        files: how many files were hashed.
    """

    kind: NodeKind
    name: str
    digest: str = ""
    state: NodeState = NodeState.VERIFIED
    note: str = ""
    parents: tuple[str, ...] = ()
    files: int = 0

    @property
    def key(self) -> str:
        """Return what other nodes name it by."""
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True)
class LineageGraph:
    """Everything a version descends from and everything that was made with it, in the order of descent.

    Attributes:
        uri: of the version that was asked about.
        nodes: each after its parents.
    """

    uri: str
    nodes: tuple[LineageNode, ...] = field(default_factory=tuple)

    @property
    def altered(self) -> tuple[LineageNode, ...]:
        """Return what is no longer what it was."""
        return tuple(node for node in self.nodes if node.state is NodeState.ALTERED)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        nodes = [
            {
                "kind": node.kind.value, "name": node.name, "digest": node.digest, "state": node.state.value, "note": node.note,
                "parents": list(node.parents), "files": node.files,
            }
            for node in self.nodes
        ]  # fmt: skip
        return {"uri": self.uri, "altered": [node.note for node in self.altered], "nodes": nodes}
