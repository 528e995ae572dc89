"""What records refer to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from data_contracts import FrozenModel, Ref


def references(value: Any) -> Iterator[Ref]:
    """Yield every reference inside a record, however deep."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, FrozenModel):
        for name in type(value).model_fields:
            yield from references(getattr(value, name))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from references(getattr(value, field.name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from references(item)


def references_in_json(value: Any) -> Iterator[Ref]:
    """Yield every reference inside parsed JSON: a stored record may refer to further bytes."""
    if isinstance(value, list):
        for item in value:
            yield from references_in_json(item)
    elif isinstance(value, dict):
        if set(value) == set(Ref.model_fields):
            yield Ref.model_validate(value)
            return
        for item in value.values():
            yield from references_in_json(item)
