"""YAML of strangers: data only, every key once, so deep and so large as people write it, and no aliases that multiply.

PyYAML's safe loader makes no objects, but takes the last of two equal keys without a word, and builds what a few lines of aliases
multiply into more than any memory holds ("billion laughs").
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

#: A recipe of a page is a few kilobytes.
MOST_BYTES = 2**20
MOST_DEPTH = 40
_MERGE = "tag:yaml.org,2002:merge"
#: Values in all, each counted wherever an alias repeats it.
MOST_VALUES = 100_000


class YamlRefused(ValueError):
    """Text that is no YAML, or YAML that nobody writes by hand; ``str`` says what is wrong and in which line."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which checks what it composed before anything is made of it."""

    def get_single_node(self) -> Any:
        """Return the checked root of the document."""
        node = super().get_single_node()
        if node is not None:
            _require_bounded(node)
        return node


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        YamlRefused: it cannot be read, is too large, or :func:`parse_yaml` refuses it.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise YamlRefused(f"expected at most {MOST_BYTES // 2**20} MiB, {path.name} has {path.stat().st_size:,} bytes")
        return parse_yaml(path.read_bytes().decode("utf-8-sig"), path.name)
    except UnicodeDecodeError as error:
        raise YamlRefused(f"expected YAML in {path.name}, it is no UTF-8 text ({error})") from error
    except OSError as error:
        raise YamlRefused(f"expected YAML in {path.name}, it cannot be read ({error.strerror})") from error


def parse_yaml(text: str, called: str) -> Any:
    """Return what YAML text holds.

    Args:
        text: one document.
        called: what a sentence calls it.

    Raises:
        YamlRefused: no YAML, a key twice, deeper than ``MOST_DEPTH``, or more than ``MOST_VALUES`` values with aliases counted out.
    """
    try:
        _require_shallow(text)
        return yaml.load(text, Loader=_Loader)
    except YamlRefused as error:
        raise YamlRefused(f"expected YAML in {called}, {error}") from error
    except yaml.YAMLError as error:
        raise YamlRefused(f"expected YAML in {called}: {' '.join(str(error).split())[:300]}") from error
    except (ValueError, TypeError, OverflowError, RecursionError, AttributeError) as error:
        # Dates, numbers and keys that look like such and are none.
        raise YamlRefused(f"expected YAML in {called}: {' '.join(str(error).split())[:200] or type(error).__name__}") from error


def yaml_lines(path: Path) -> dict[tuple[str | int, ...], int]:
    """Return the line of every value of a YAML file that :func:`read_yaml` reads, by the keys and numbers that lead to it.

    A value that an alias repeats stands where it was written out.
    """
    found: dict[tuple[str | int, ...], int] = {}

    def look(node: Any, place: tuple[str | int, ...]) -> None:
        """Note the lines of a node and of what lies in it."""
        if isinstance(node, yaml.MappingNode):
            # What is merged from elsewhere first: a key of the mapping's own replaces it.
            for key, value in sorted(node.value, key=lambda pair: pair[0].tag != _MERGE):
                if key.tag == _MERGE:
                    for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                        look(merged, place)
                else:
                    found[(*place, key.value)] = key.start_mark.line + 1
                    look(value, (*place, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                found[(*place, number)] = value.start_mark.line + 1
                look(value, (*place, number))

    look(yaml.compose(path.read_bytes().decode("utf-8-sig"), Loader=_Loader), ())
    return found


def _require_shallow(text: str) -> None:
    """Refuse nesting before it is composed, which is done by recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MOST_DEPTH:
                line = 0 if event.start_mark is None else event.start_mark.line + 1
                raise YamlRefused(f"line {line} nests deeper than {MOST_DEPTH}; write it flatter")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _require_bounded(root: Any) -> None:
    """Refuse keys that are there twice, aliases of what they lie in, and more values than ``MOST_VALUES``."""
    sizes: dict[int, int] = {}

    def size_of(node: Any, above: frozenset[int]) -> int:
        """Return how many values a node stands for once its aliases are written out."""
        line = node.start_mark.line + 1
        if id(node) in above:
            raise YamlRefused(f"line {line} holds an alias of itself; write the value out")
        if id(node) in sizes:
            return sizes[id(node)]
        inside = above | {id(node)}
        if isinstance(node, yaml.MappingNode):
            _require_distinct(node)
            total = 1 + sum(size_of(key, inside) + size_of(value, inside) for key, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            total = 1 + sum(size_of(value, inside) for value in node.value)
        else:
            total = 1
        if total > MOST_VALUES:
            raise YamlRefused(f"line {line} stands for more than {MOST_VALUES:,} values, aliases counted out; write what is meant")
        sizes[id(node)] = total
        return total

    size_of(root, frozenset())


def _require_distinct(node: Any) -> None:
    seen: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        name, line = (key.tag, key.value), key.start_mark.line + 1
        if name in seen:
            raise YamlRefused(f"line {line} has the key {key.value[:60]!r} again, which is in line {seen[name]} already; keep one")
        seen[name] = line
