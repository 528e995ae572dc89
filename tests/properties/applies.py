"""Which cases a property is asked of: those that it says nothing about are not made, rather than made and skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rule = Callable[[Any, "str | None", "int | None"], bool]


def holds_where(rule: Rule) -> Callable[[Any], Any]:
    """Ask a property only of the cases that a rule is true of: entry of the catalogue, task, number of dimensions (None where it has none)."""

    def mark(test: Any) -> Any:
        test.rule = rule
        return test

    return mark


def once_per_entry(test: Any) -> Any:
    """Ask a property once of each entry, whatever the task and the number of dimensions: it is about the entry's file."""
    test.asked = "entry"
    return test


def once(test: Any) -> Any:
    """Ask a property of one entry alone: it is about what all of them go through."""
    test.asked = "all"
    return test


def kept(items: list[Any]) -> list[Any]:
    """Return the items that apply, in their order; items of other folders are left as they are."""
    seen: set[tuple[str, ...]] = set()
    found = []
    for item in items:
        if "/properties/" in item.nodeid.replace("\\", "/") and not _applies(item, seen):
            continue
        found.append(item)
    return found


def _applies(item: Any, seen: set[tuple[str, ...]]) -> bool:
    catalogue, given = getattr(item.module, "CATALOGUE", None), getattr(item, "callspec", None)
    name = None if given is None else given.params.get("entry", given.params.get("name"))
    if catalogue is None or name is None:
        return True
    entry, task, space = catalogue.entry(name), given.params.get("task"), given.params.get("space")
    if task is not None and task not in entry.fact("TASKS", (task,)):
        return False
    rule = getattr(item.function, "rule", None)
    if rule is not None and not rule(entry, task, space):
        return False
    asked = getattr(item.function, "asked", None)
    key = {
        None: (item.nodeid,),
        "entry": (item.module.__name__, item.originalname, name),
        "all": (item.module.__name__, item.originalname),
    }[asked]
    is_first = key not in seen
    seen.add(key)
    return is_first
