"""Commands take records of options: how a parameter that is a dataclass becomes the options that are its fields."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any


def expand_options(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function for Typer: where a parameter of the given one is a dataclass, it takes the fields, and makes the record of them.

    Typer reads ``inspect.signature`` and the type hints of a function, and calls it by keywords. Both are set here: the options of a
    record stand where the record stood, in its order, declared as those of a command are
    (``days: Annotated[int, typer.Option(help="How far back.")] = 7``).

    Raises:
        ValueError: two options have one name.
    """
    parameters: list[inspect.Parameter] = []
    records: dict[str, tuple[Callable[..., Any], list[str]]] = {}
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        record = parameter.annotation
        if isinstance(record, type) and is_dataclass(record):
            fields = _fields(record)
            records[parameter.name] = (record, [field.name for field in fields])
            parameters += fields
        else:
            parameters.append(parameter)

    @functools.wraps(function)
    def expanded(**given: Any) -> None:
        made = {name: record(**{field: given.pop(field) for field in fields}) for name, (record, fields) in records.items()}
        function(**made, **given)

    # By keywords alone: so an option with a default may stand before one that is required.
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    for_typer: Any = expanded
    for_typer.__signature__ = inspect.Signature(parameters)
    for_typer.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def _fields(record: Any) -> list[inspect.Parameter]:
    """Return the fields of a dataclass as parameters, their annotations as its own module understands them."""
    hints = typing.get_type_hints(record, include_extras=True)
    return [parameter.replace(annotation=hints[parameter.name]) for parameter in inspect.signature(record).parameters.values()]
