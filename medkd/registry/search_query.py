"""The language in which registered versions are searched: ``FIELD OP VALUE``, joined by ``and``.

Operators: ``=`` and ``!=``, ``>=``, ``<=``, ``>`` and ``<`` of numbers and dates, ``~`` for "contains". A value with spaces, or with the word
``and`` in it, stands in quotes. There is no ``or`` and there are no brackets: two questions are two searches.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt
from types import MappingProxyType
from typing import Any

from data_contracts import RegistryError

#: Fields that are asked by their own name, with what each holds.
FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "name": "registered name",
        "version": "number of the version",
        "role": "teacher, student or knowledge",
        "recipe": "recipe that it came from",
        "arm": "arm of the recipe",
        "seed": "seed of the training",
        "alias": "each alias that stands at it",
        "teacher": "its teacher: NAME, NAME/VERSION or NAME/VERSION@DIGEST",
        "knowledge": "knowledge that it learned from: NAME, NAME/VERSION or NAME/VERSION@DIGEST",
        "digest": "sha256 of its manifest",
        "weights": "sha256 of its weights",
        "registered": "when, UTC: 2026-01-31T12:00:00",
        "verdict": "passed or refused, of each promotion verdict",
        "explanation.failed": "each explainer that failed its tests on it",
        "explanation.passed": "each explainer that passed them",
        "explanation.digest": "sha256 of its explanation bundle",
    }
)
#: Fields of which there are as many as anybody registers.
FAMILIES: Mapping[str, str] = MappingProxyType({"metrics.": "a final figure", "tags.": "a tag, medkd. in front of it or not"})
#: Fields that are compared as numbers, and those whose text is in the order of time.
NUMBERS, TIMES = ("version", "seed"), ("registered",)

_ORDERED: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType({"=": eq, ">=": ge, "<=": le, ">": gt, "<": lt})
_TERM = re.compile(
    r"""\s*(?P<field>[A-Za-z_][\w./@:-]*?)\s*(?P<operator>!=|>=|<=|=|>|<|~)\s*"""
    r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^\s"'=<>!~]+))\s*"""
)
_AND = re.compile(r"and\b\s*", re.IGNORECASE)


@dataclass(frozen=True)
class SearchCondition:
    """One condition of a search.

    Attributes:
        field: what is asked about.
        operator: ``=``, ``!=``, ``>=``, ``<=``, ``>``, ``<`` or ``~``.
        value: what it is compared with.
    """

    field: str
    operator: str
    value: str

    def holds(self, found: tuple[str, ...] | float | None) -> bool:
        """Return whether the condition holds of what a version has: texts, of which one is enough, or a number; None of what it lacks.

        A version that lacks a figure fulfils nothing that is asked of it, ``!=`` included; one without an alias has none that differs.
        """
        if found is None:
            return False
        if isinstance(found, float):
            return _compared(self.operator, [found], float(self.value))
        if self.operator == "~":
            return any(self.value.lower() in text.lower() for text in found)
        return _compared(self.operator, found, self.value)


def _compared(operator: str, found: Iterable[Any], wanted: Any) -> bool:
    """Return whether one of what was found is as wanted; of ``!=``, whether none is equal."""
    if operator == "!=":
        return all(one != wanted for one in found)
    return any(_ORDERED[operator](one, wanted) for one in found)


def parse_query(text: str) -> tuple[SearchCondition, ...]:
    """Return the conditions of a query; an empty text has none, which every version fulfils.

    >>> parse_query("teacher=net-teacher and metrics.dice>=0.6")[1]
    SearchCondition(field='metrics.dice', operator='>=', value='0.6')

    Raises:
        RegistryError: ``SEARCH_QUERY`` where it is no query, ``SEARCH_FIELD`` of an unknown field, ``SEARCH_OPERATOR`` where a field has no
            order, ``SEARCH_VALUE`` of a number that is none.
    """
    conditions: list[SearchCondition] = []
    place = 0
    while text[place:].strip():
        if conditions:
            joint = _AND.match(text, place)
            if joint is None:
                raise _no_query(text, place)
            place = joint.end()
        term = _TERM.match(text, place)
        if term is None:
            raise _no_query(text, place)
        value = next(part for part in (term["double"], term["single"], term["plain"]) if part is not None)
        conditions.append(_checked(SearchCondition(term["field"], term["operator"], value)))
        place = term.end()
    return tuple(conditions)


def _no_query(text: str, place: int) -> RegistryError:
    there = text[place:].strip()
    where = f"at {there[:40]!r}" if there else "at its end"
    return RegistryError(
        "SEARCH_QUERY",
        f"expected FIELD OP VALUE joined by 'and' (OP one of = != >= <= > < ~), cannot read {text[:80]!r} {where}; "
        'for example "teacher=NAME and metrics.dice>=0.6"; a value with spaces stands in quotes',
    )


def _checked(condition: SearchCondition) -> SearchCondition:
    field, operator = condition.field, condition.operator
    family = field.startswith(tuple(FAMILIES)) and field not in FAMILIES
    if field not in FIELDS and not family:
        raise unknown_field(field, (*FIELDS, *(f"{prefix}NAME" for prefix in FAMILIES)))
    is_number = field in NUMBERS or field.startswith("metrics.")
    if (operator in (">=", "<=", ">", "<") and not is_number and field not in TIMES) or (operator == "~" and is_number):
        allowed = "= != >= <= > <" if is_number else "= != ~"
        raise RegistryError("SEARCH_OPERATOR", f"expected one of {allowed} after {field}, got {operator!r}")
    if is_number and not _is_number(condition.value):
        raise RegistryError("SEARCH_VALUE", f"expected a number after {field}{operator}, got {condition.value!r}")
    return condition


def _is_number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False


def unknown_field(field: str, known: tuple[str, ...]) -> RegistryError:
    """Return the error of a field that there is not: the nearest one that there is, and all of them."""
    near = difflib.get_close_matches(field, known, n=1, cutoff=0.5)
    hint = f", did you mean {near[0]!r}?" if near else ""
    return RegistryError(
        "SEARCH_FIELD", f"expected a field of registered versions, got {field!r}{hint}; there are {', '.join(known) or 'none of that kind'}"
    )
