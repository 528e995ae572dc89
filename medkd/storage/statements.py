"""The statements of a source file: where its imports are."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Return every statement below a node, those of functions, classes and branches included; expressions, which are most of a file, not."""
    blocks = [getattr(node, field, ()) for field in ("body", "orelse", "finalbody")]
    for child in (one for block in blocks if isinstance(block, list) for one in block):
        yield child
        yield from statements(child)
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield from statements(part)
