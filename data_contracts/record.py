"""The frozen record: what every stored, sent or signed fact of medkd is made of.

A record is immutable, refuses unknown fields, carries its schema version and has one digest: the sha256 of its canonical
JSON (sorted keys, no white space, UTF-8, no NaN). Arrays never live in a record; a :class:`Ref` points to stored bytes.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationError, model_validator

from data_contracts.errors import ContractError
from data_contracts.private import open_private


def _finite(value: float) -> float:
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"expected a finite number, got {value}")
    return value


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Finite = Annotated[float, AfterValidator(_finite)]
#: A pseudonymous key: keyed hash of an identifier, never the identifier (see ``medkd.dicom.confidentiality``).
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


#: How names of files end that are not finished: a name of ours, which nobody else gives to a file.
PARTIAL = ".medkd-partial"


def partial_path(path: Path) -> Path:
    """Return where a process writes a file until it is whole and renamed to ``path``: ``.NAME.PID.medkd-partial`` beside it."""
    return path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")


_ATTRIBUTES = "\nAttributes:\n"


def _attributes(docstring: str) -> dict[str, str]:
    """Return the entries of a docstring's ``Attributes``, each on one line."""
    found: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(docstring).partition(_ATTRIBUTES)[2].splitlines():
        entry = re.match(r"    (\w+): (.+)", line)
        if entry:
            name, found[entry[1]] = entry[1], entry[2].strip()
        elif name and line.startswith("        "):
            found[name] += " " + line.strip()
        else:
            break
    return found


class FrozenModel(BaseModel):
    """A frozen part of a record, without a version of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @classmethod
    def field_descriptions(cls) -> dict[str, str]:
        """Return what the ``Attributes`` of the docstring say of each field, those of the classes above it first."""
        return {
            name: text
            for one in reversed(cls.__mro__)
            if issubclass(one, FrozenModel)
            for name, text in _attributes(one.__doc__ or "").items()
        }

    @classmethod
    def prose(cls) -> str:
        """Return the docstring without its ``Attributes``."""
        return inspect.cleandoc(cls.__doc__ or "").partition(_ATTRIBUTES)[0].strip()

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe each field of the JSON Schema by the docstring: one text for readers of the code, editors of YAML and the reference."""
        schema = handler(core_schema)
        shown, descriptions = handler.resolve_ref_schema(schema), cls.field_descriptions()
        shown["description"] = cls.prose()
        for name, field in shown.get("properties", {}).items():
            if name in descriptions:
                field["description"] = descriptions[name]
        return schema

    def canonical_json(self) -> bytes:
        """Return the bytes that are digested and signed: sorted keys, compact separators, UTF-8."""
        payload = self.model_dump(mode="json")
        return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    def digest(self) -> str:
        """Return the sha256 (hex) of :meth:`canonical_json`."""
        return hashlib.sha256(self.canonical_json()).hexdigest()


class VersionedRecord(FrozenModel):
    """A versioned fact. Subclasses set ``SCHEMA`` (``name/version``), which is written as ``schema_version``.

    Attributes:
        schema_version: name and version of the record's form, for example ``recipe/1``; filled in where it is left out.
    """

    SCHEMA: ClassVar[str] = ""
    schema_version: str = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the record under its schema; two records may not share one."""
        super().__init_subclass__(**kwargs)
        other = RECORDS.get(cls.SCHEMA)
        if other is not None and other.__qualname__ != cls.__qualname__:
            raise TypeError(f"expected one record per schema, {cls.SCHEMA!r} is both {other.__name__} and {cls.__name__}")
        RECORDS[cls.SCHEMA] = cls

    @model_validator(mode="before")
    @classmethod
    def _migrate(cls, value: Any) -> Any:
        """Lift an older version, also where one record is part of another."""
        return migrated(value) if isinstance(value, dict) else value

    def model_post_init(self, context: Any) -> None:
        """Fill or check the schema version."""
        if self.schema_version == "":
            object.__setattr__(self, "schema_version", self.SCHEMA)
        elif self.schema_version != self.SCHEMA:
            raise ValueError(f"expected schema {self.SCHEMA}, got {self.schema_version}")

    def write(self, path: Path) -> Path:
        """Write the canonical JSON by atomic rename, for its owner only, and return ``path``."""
        # Renamed when it is whole: who reads sees the old record or the new one.
        partial = partial_path(path)
        with open_private(partial) as stream:
            stream.write(self.canonical_json())
        partial.replace(path)
        return path


#: schema → newest class; filled by subclassing.
RECORDS: dict[str, type[VersionedRecord]] = {}
#: schema → pure function that lifts a payload to the next version of the same record.
MIGRATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
#: schema that nothing can be read from any more, because the next version says what it does not hold → why, and what to do.
RETIRED: dict[str, str] = {}

RecordType = TypeVar("RecordType", bound=VersionedRecord)


def migrated(data: dict[str, Any]) -> dict[str, Any]:
    """Return a record's payload in the newest version that migrations lead to."""
    version = data.get("schema_version")
    while version in MIGRATIONS:
        data = MIGRATIONS[version](data)
        version = data["schema_version"]
    return data


def read_record(payload: bytes | str, expected: type[RecordType]) -> RecordType:
    """Read a record from canonical JSON, migrating older versions.

    Raises:
        ContractError: ``CONTRACT_UNREADABLE`` when it is not JSON, ``CONTRACT_VERSION`` when the version is unknown,
            or was retired, ``CONTRACT_INVALID`` when a field does not fit.
    """
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ContractError("CONTRACT_UNREADABLE", f"expected the JSON of {expected.SCHEMA}, got text that is not JSON: {error}") from error
    data = migrated(data) if isinstance(data, dict) else data
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version in RETIRED:
        raise ContractError("CONTRACT_VERSION", f"expected a record {expected.SCHEMA}, got {version!r}: {RETIRED[version]}")
    if version != expected.SCHEMA:
        raise ContractError("CONTRACT_VERSION", f"expected a record {expected.SCHEMA}, got {version!r}; this medkd cannot read it")
    try:
        return expected.model_validate(data)
    except ValidationError as error:
        raise ContractError("CONTRACT_INVALID", f"expected a valid {expected.SCHEMA}: {first_problem(error)}") from error


def load_record(path: Path, expected: type[RecordType]) -> RecordType:
    """Read a record from a file; a missing file is a :class:`ContractError` ``CONTRACT_MISSING``."""
    if not path.is_file():
        raise ContractError("CONTRACT_MISSING", f"expected a {expected.SCHEMA} at {path}, found no file")
    return read_record(path.read_bytes(), expected)


def first_problem(error: ValidationError) -> str:
    """Say the first problem of a pydantic error in one clause: where, what, what came."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "record"
    came = repr(problem.get("input"))
    return f"{where}: {problem['msg']} (got {came[:120]})"


class Ref(FrozenModel):
    """Pointer to stored bytes: name of the store, key relative to it, sha256 of the bytes.

    Where a store lies is configuration, resolved at run time, and never digested.
    """

    store: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    key: str
    sha256: Sha256

    def model_post_init(self, context: Any) -> None:
        """Refuse keys that leave their store."""
        if self.key.startswith("/") or ".." in self.key.split("/"):
            raise ValueError(f"expected a key relative to the store, got {self.key!r}")


class Estimate(FrozenModel):
    """A measured number with its interval: mean, 95 % bounds, and the number of independent units.

    ``missing`` counts units for which the measure is undefined; they are reported, never dropped in silence.
    """

    mean: Finite
    low: Finite
    high: Finite
    n: int = Field(ge=0)
    missing: int = Field(default=0, ge=0)
    unit: str = ""
