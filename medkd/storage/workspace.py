"""Where a run lies, and stages that remember: a finished stage is not repeated, and what it left is verified before it is used.

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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast, get_type_hints

from data_contracts import MedkdError, Record, Ref, StoreError, Value, load_record
from data_contracts.private import open_private, private_folder
from medkd.storage.store import Store, write_bytes

_LOG = logging.getLogger("medkd")
_OURS = ("medkd", "data_contracts")
P = ParamSpec("P")
R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Workspace:
    """Where a run keeps its files on this machine; never part of a digest.

    Attributes:
        root: folder of the run.
        tracking_uri: MLflow tracking and registry URI.
        progress: show progress bars.
        data_root: folder that paths of recipes are relative to.
    """

    root: Path
    tracking_uri: str
    progress: bool = False
    data_root: Path = Path()

    @property
    def store(self) -> Store:
        """Return the run's store of tensors and records."""
        return Store(self.root / "store", "run")


def embedded_workspace(root: Path, *, progress: bool = False, data_root: Path = Path()) -> Workspace:
    """Return a workspace that tracks to a SQLite file of its own, no server needed."""
    root = private_folder(root.resolve())
    return Workspace(root=root, tracking_uri=f"sqlite:///{root / 'mlflow.db'}", progress=progress, data_root=data_root.resolve())


def stage(function: Callable[Concatenate[Workspace, P], R]) -> Callable[Concatenate[Workspace, P], R]:
    """Make a plain function from records to a record remember its result in the workspace.

    The key is the digest of the arguments (records, strings, numbers, tuples of them) and of the source of every module of
    ours that the function's module imports. A remembered result is used only if every byte it refers to is there unaltered.
    """
    produces = get_type_hints(function)["return"]

    @functools.wraps(function)
    def remembered(workspace: Workspace, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the remembered result, or run the function and remember."""
        arguments = inspect.signature(function).bind(workspace, *args, **kwargs).arguments
        inputs = {name: _plain(value) for name, value in arguments.items() if not isinstance(value, Workspace)}
        payload = json.dumps({"stage": function.__name__, "inputs": inputs, "code": code_version(function.__module__)}, sort_keys=True)
        path = workspace.root / "stages" / f"{function.__name__}-{hashlib.sha256(payload.encode()).hexdigest()[:24]}.json"
        found = _recall(path, produces, workspace)
        if found is None:
            _note_begin(path)
            found = function(workspace, *args, **kwargs)
            # The digest goes first: a result without one is not used.
            write_bytes(_seal_of(path), found.digest().encode())
            found.write(path)
        return found

    return cast(Callable[Concatenate[Workspace, P], R], remembered)


def _note_begin(path: Path) -> None:
    """Append a line to ``stages/begun.log``: a stage that is named twice was interrupted, or its result was altered."""
    with open_private(path.parent / "begun.log", "a", encoding="utf-8") as stream:
        stream.write(f"{path.stem}\n")


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


def references(value: Any) -> Iterator[Ref]:
    """Yield every reference inside a record, however deep."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, Value):
        for name in type(value).model_fields:
            yield from references(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from references(item)


def _plain(value: Any) -> Any:
    if isinstance(value, Value):
        return value.digest()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, str | int | float | bool | type(None)):
        return value
    raise TypeError(f"expected a record, string, number or tuple of them as a stage's argument, got {type(value).__name__}")


@functools.cache
def code_version(module: str) -> str:
    """Return the digest of a module and of every module of ours that it imports, directly or not.

    Catalogue entries are found at run time and so are not in the closure: the recipe's bound digest carries theirs. One new
    loss does not retrain every teacher.
    """
    sources = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(_closure(module).items())}
    return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()


def _closure(module: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        spec = importlib.util.find_spec(name) if name.split(".")[0] in _OURS and name not in found else None
        if spec is None or spec.origin is None:
            continue
        found[name] = Path(spec.origin)
        waiting.extend(_imported_by(found[name]))
    return found


@functools.cache
def _imported_by(source: Path) -> tuple[str, ...]:
    """Return the modules that a file names in its imports. Most stages share most files: each is parsed once in a process."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return tuple(names)
