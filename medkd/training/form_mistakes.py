"""Every mistake in the form of a recipe: fields that do not exist, are missing, or have values that they cannot have."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from data_contracts import Data, MedkdError, Recipe, RecipeError, Task
from medkd.catalogue import did_you_mean
from medkd.training.mistake import FieldPath, Mistake

#: Longest text of a value that is shown.
MOST_SHOWN = 100


def form_mistakes(payload: Any) -> Iterator[Mistake]:
    """Yield what keeps plain fields from being a recipe; nothing where they are one."""
    try:
        for place, sentence in record_mistakes(Recipe, payload):
            yield Mistake(place, RecipeError("RECIPE_INVALID", sentence))
    except MedkdError as error:
        # A policy refuses what a code does not allow in words of its own; the other fields are looked at without it.
        yield Mistake(("data", "policy"), error)
        yield from form_mistakes({**payload, "data": {key: value for key, value in payload["data"].items() if key != "policy"}})


def record_mistakes(record: type[BaseModel], payload: Any) -> Iterator[tuple[FieldPath, str]]:
    """Yield place and sentence of what keeps plain fields from being a record; nothing where they are one."""
    try:
        record.model_validate(payload)
    except ValidationError as error:
        yield from _merged(record, payload, error)


def readable_parts(payload: Any, broken: Iterable[Mistake] = ()) -> tuple[Data | None, Task | None]:
    """Return what can be read of a recipe that may be broken: where its cases come from, and its task; broken fields are left out."""
    wrong = {mistake.place[:2] for mistake in broken}
    return _read(TypeAdapter(Data), payload, "data", wrong), _read(TypeAdapter(Task), payload, "task", wrong)


def _read(kind: TypeAdapter[Any], payload: Any, part: str, wrong: Collection[FieldPath]) -> Any:
    fields = payload.get(part) if isinstance(payload, dict) else None
    if isinstance(fields, dict):
        fields = {name: value for name, value in fields.items() if (part, name) not in wrong}
    try:
        return kind.validate_python(fields)
    except (ValidationError, MedkdError):
        return None


def _merged(record: type[BaseModel], payload: Any, error: ValidationError) -> Iterator[tuple[FieldPath, str]]:
    """Yield one mistake per value: where several forms are allowed, each of them is refused for a reason of its own."""
    forms: dict[FieldPath, list[str]] = {}
    alone: dict[FieldPath, str] = {}
    values: dict[FieldPath, Any] = {}
    for problem in error.errors(include_url=False):
        place, form, value = _place(problem, payload)
        values[place] = value
        if form is None:
            alone.setdefault(place, _sentence(problem, record, payload, place))
        elif form not in forms.setdefault(place, []):
            forms[place].append(form)
    alone |= {place: f"expected {' or '.join(found)}, got {_shown(values[place])}" for place, found in forms.items()}
    yield from alone.items()


def _place(problem: Any, payload: Any) -> tuple[FieldPath, str | None, Any]:
    """Return where a problem is, the form that was tried there (where several are allowed), and what came."""
    here, place = payload, []
    for part in problem["loc"]:
        inside = isinstance(here, dict) and part in here
        numbered = isinstance(here, list | tuple) and isinstance(part, int) and part < len(here)
        # pydantic puts names of union members and validators into a place; only what the file holds is one.
        if inside or numbered:
            place.append(part)
            here = here[part]
        elif isinstance(here, dict) and part == here.get("kind"):
            continue  # the kind that the fields were read as
        elif problem["type"] == "missing" and part == problem["loc"][-1]:
            place.append(part)
        elif isinstance(part, str) and part != "[key]":
            return tuple(place), part.replace(", ...", ", …"), here
    return tuple(place), None, here


def _sentence(problem: Any, record: type[BaseModel], payload: Any, place: FieldPath) -> str:
    """Return what was expected and what came, for one problem of pydantic's."""
    kind, message, context = problem["type"], str(problem["msg"]), problem.get("ctx", {})
    if kind == "missing":
        return f"expected the field {place[-1]!r}, it is not there"
    if kind == "extra_forbidden":
        known = sorted(_fields_at(record, payload, place[:-1]))
        return f"expected one of the fields {', '.join(known)}, got {_shown(place[-1])}{did_you_mean(str(place[-1]), known)}"
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        allowed = str(context.get("expected") or context.get("expected_tags"))
        value = context.get("tag", problem["input"])
        near = did_you_mean(str(value), re.findall(r"'([^']*)'", allowed))
        return f"expected {allowed}, got {_shown(value)}{near}"
    if kind == "union_tag_not_found":
        return f"expected the field 'kind', it is not there in {_shown(problem['input'])}"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    wanted = message.removeprefix("Input should be ")
    wanted = re.sub(r"^(\w+) should (have|match)", lambda found: f"a {found[1].lower()} to {found[2]}", wanted)
    wanted = re.sub(r"^(greater|less|finite)", r"a number \1", wanted)
    return f"expected {wanted}, got {_shown(problem['input'])}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def _fields_at(record: type[BaseModel], payload: Any, place: FieldPath) -> set[str]:
    """Return the fields that the value at a place may have."""
    here: Any = record
    for part in place:
        payload = payload[part]
        here = _record(
            here.model_fields[part].annotation if _is_record(here) else typing.get_args(here)[-1 if isinstance(part, str) else 0], payload
        )
    return set(here.model_fields) if _is_record(here) else set()


def _record(annotation: Any, value: Any) -> Any:
    """Return the record that a value is read as where an annotation allows several things."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _record(typing.get_args(annotation)[0], value)
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation
    records = [found for one in typing.get_args(annotation) if _is_record(found := _record(one, value))]
    kind = value.get("kind") if isinstance(value, dict) else None
    fitting = [one for one in records if "kind" in one.model_fields and kind in typing.get_args(one.model_fields["kind"].annotation)]
    return next(iter(fitting or records), None)


def _is_record(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
