"""Stages that remember: a finished stage is not repeated, and what it left is verified before it is used.

Durable truth is files: each stage writes its result record under the digest of its inputs and of the code it runs. The
orchestrator only drives, so a killed run goes on with either engine.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast, get_type_hints

from data_contracts import FrozenModel, MedkdError, StoreError, VersionedRecord, load_record
from medkd.catalogue import entries_named_in
from medkd.storage.references import references
from medkd.storage.shared_results import publish_result, take_result
from medkd.storage.starts import note_start
from medkd.storage.statements import statements
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace

_LOG = logging.getLogger("medkd")
_OURS = ("medkd", "data_contracts")
P = ParamSpec("P")
R = TypeVar("R", bound=VersionedRecord)


def stage(function: Callable[Concatenate[Workspace, P], R]) -> Callable[Concatenate[Workspace, P], R]:
    """Make a plain function from records to a record remember its result in the workspace.

    The key is the digest of the arguments (records, strings, numbers, tuples of them), of the source of every module of ours that
    the function's module imports, and of the source of every catalogue entry that the arguments name: a changed loss trains the arms
    again that use it and no others. What was merely measured of an argument (seconds of a training) is not in the key. A remembered
    result is used only if every byte it refers to is there unaltered. Where the workspace has objects that machines share, a result of
    another machine is taken, and one that was made here is left for others.
    """
    produces = get_type_hints(function)["return"]

    @functools.wraps(function)
    def remembered(workspace: Workspace, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the remembered result, or run the function and remember."""
        arguments = inspect.signature(function).bind(workspace, *args, **kwargs).arguments
        inputs = {name: value for name, value in arguments.items() if not isinstance(value, Workspace)}
        key = stage_key(function.__name__, function.__module__, inputs)
        path = workspace.root / "stages" / f"{function.__name__}-{key[:24]}.json"
        found = _recall(path, produces, workspace)
        if found is None and workspace.objects is not None:
            found = take_result(workspace, path.stem, produces)
            if found is not None:
                _remember(path, found)
        if found is None:
            note_start(workspace, path.stem)
            found = function(workspace, *args, **kwargs)
            _remember(path, found)
        if workspace.objects is not None:
            publish_result(workspace, path.stem, found)
        return found

    return cast(Callable[Concatenate[Workspace, P], R], remembered)


def _remember(path: Path, found: VersionedRecord) -> None:
    # The digest goes first: a result without one is not used.
    write_bytes(_seal_of(path), found.digest().encode())
    found.write(path)


def stage_key(name: str, module: str, inputs: dict[str, Any]) -> str:
    """Return the sha256 that the result of a stage is remembered by.

    Args:
        name: of the stage's function.
        module: that defines it.
        inputs: its arguments by name, without the workspace.
    """
    payload = {
        "stage": name,
        "inputs": {argument: keyed(value) for argument, value in inputs.items()},
        "entries": entry_sources(inputs),
        "code": code_version(module),
    }
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()


def entry_sources(value: Any) -> dict[str, str]:
    """Return the digest of the source of every catalogue entry that a value names, and of what that imports, by ``CATALOGUE/NAME``."""
    return {
        name: hashlib.sha256(f"{entry.source_digest()}{_code_or_empty(entry.module.__name__)}".encode()).hexdigest()
        for name, entry in entries_named_in(value).items()
    }


def _code_or_empty(module: str) -> str:
    # An entry of another package is known by its own source alone.
    return code_version(module) if module.split(".")[0] in _OURS else ""


def keyed(value: Any) -> Any:
    """Return the part of an argument that a key is made of: everything but fields that are declared ``measured``.

    Raises:
        TypeError: for what is no record, string, number or tuple of them.
    """
    if isinstance(value, FrozenModel):
        fields = type(value).model_fields
        return {name: keyed(getattr(value, name)) for name in fields if not _is_measured(fields[name])}
    if isinstance(value, tuple | list):
        return [keyed(item) for item in value]
    if isinstance(value, dict):
        return {str(key): keyed(item) for key, item in value.items()}
    if isinstance(value, str | int | float | bool | type(None)):
        return value
    raise TypeError(f"expected a record, string, number or tuple of them as a stage's argument, got {type(value).__name__}")


def _is_measured(field: Any) -> bool:
    return isinstance(field.json_schema_extra, dict) and bool(field.json_schema_extra.get("measured"))


def _recall(path: Path, produces: type[R], workspace: Workspace) -> R | None:
    """Return a remembered result whose bytes are all there, otherwise None (said in the log)."""
    if not path.is_file():
        return None
    try:
        record = load_record(path, produces)
        if not _seal_of(path).is_file() or _seal_of(path).read_bytes() != hashlib.sha256(path.read_bytes()).hexdigest().encode():
            raise StoreError("STAGE_ALTERED", "its digest is missing or another one")
    except MedkdError as error:
        _LOG.warning("stage result %s cannot be used (%s): the stage runs again", path.name, error)
        return None
    altered = [ref.key for ref in references(record) if ref.store == workspace.store.name and not workspace.store.verify(ref)]
    if altered:
        _LOG.warning("stage result %s refers to %s, which is missing or altered: the stage runs again", path.name, altered[0])
        return None
    return record


def _seal_of(path: Path) -> Path:
    """Return where the digest of a stage's result lies."""
    return path.with_suffix(".sha256")


@functools.cache
def code_version(module: str) -> str:
    """Return the digest of a module and of every module of ours that it imports, directly or not, and of the files that these read of packages.

    Catalogue entries are found at run time and so are not in the closure: :func:`entry_sources` carries those that the arguments name.
    One new loss does not retrain every teacher.
    """
    closure = closure_of(module)
    read = {
        str(path.relative_to(folder.parent)): path for folder in map(resources_of, closure.values()) if folder for path in _data_in(folder)
    }
    sources = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted({**closure, **read}.items())}
    return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()


def closure_of(module: str) -> dict[str, Path]:
    """Return the files of a module and of every module of ours that it imports, directly or not, by module name."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        source = _source_of(name) if name not in found else None
        if source is None:
            continue
        found[name] = source
        waiting.extend(imported_by(source))
    return found


@functools.cache
def resources_of(source: Path) -> Path | None:
    """Return the folder of the package that a file reads templates or texts of, by ``files("PACKAGE")`` or ``PackageLoader("PACKAGE", …)``."""
    text = source.read_text(encoding="utf-8")
    # Hardly any file reads any: walking the trees of all would take seconds of every process that runs a stage.
    readers = [name for name in ("files", "PackageLoader") if f"{name}(" in text]
    for node in ast.walk(ast.parse(text)) if readers else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in readers and node.args:
            package = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
            found = _source_of(package) if isinstance(package, str) else None
            if found is not None:
                return found.parent
    return None


@functools.cache
def _data_in(folder: Path) -> tuple[Path, ...]:
    """Return what a package holds beside code and notes."""
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc", ".md")))


@functools.cache
def _source_of(module: str) -> Path | None:
    """Return the file of a module of ours; None of another's, and of what is no module (the name of a function below one).

    By its path: ``find_spec`` would import every package above it, seconds of a process that wants none of them.
    """
    top, *below = module.split(".")
    if top not in _OURS:
        return None
    for folder in _folders_of(top):
        inside = folder.joinpath(*below)
        for file in (inside / "__init__.py", inside.with_name(f"{inside.name}.py")):
            if file.is_file():
                return file
    return None


@functools.cache
def _folders_of(package: str) -> tuple[Path, ...]:
    """Return the folders of a package at the top."""
    spec = importlib.util.find_spec(package)
    return tuple(map(Path, (spec and spec.submodule_search_locations) or ()))


@functools.cache
def imported_by(source: Path) -> tuple[str, ...]:
    """Return the modules of ours that a file imports; of a name imported from a package, the module that defines it.

    Without that, everything would depend on every record: nearly every file takes its records from ``data_contracts`` itself. Most stages
    share most files: each is parsed once in a process.
    """
    names: list[str] = []
    for node in statements(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.extend(_defined_in(node.module, alias.name) for alias in node.names)
    return tuple(dict.fromkeys(names))


def _defined_in(module: str, name: str) -> str:
    """Return the module that ``from module import name`` takes the name from."""
    source = _source_of(module)
    if source is None or source.name != "__init__.py":
        return module
    return f"{module}.{name}" if _source_of(f"{module}.{name}") is not None else _exports_of(source).get(name, module)


@functools.cache
def _exports_of(package: Path) -> dict[str, str]:
    """Return which module a package's ``__init__`` takes each of its names from."""
    imports = (node for node in ast.parse(package.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom) and node.module)
    return {alias.asname or alias.name: node.module or "" for node in imports for alias in node.names}
