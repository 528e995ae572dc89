"""The database behind an MLflow registry: laid out by one process and as a whole, and opened where its artefacts lie today."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from mlflow.tracking import MlflowClient

from data_contracts import RegistryError
from medkd.registry.empty_registry import begin_registry, keep_registry
from medkd.registry.relocate import find_relocation, relocate, relocated_copy
from medkd.registry.server import shown
from medkd.storage.run_lock import locked


@contextlib.contextmanager
def laid_out_alone(uri: str) -> Iterator[None]:
    """Let one process at a time lay out the tables of a local database, and a database appear whole or not at all.

    MLflow makes a new database by running every migration it ever had, on the file itself: two processes at once fail, and one that
    is killed there leaves a file that MLflow refuses ever after ("table _alembic_tmp_trace_tags already exists").
    """
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not os.access(path.parent, os.W_OK):
        yield
        return
    with locked(path.with_name(f".medkd-{path.name}.lock"), wait_s=120.0):
        if not path.exists():
            new = path.with_name(f".{path.name}.new")
            # What a process that was killed left: the database with its journal, or a copy that it was being made of.
            for left in (*path.parent.glob(f"{new.name}*"), *path.parent.glob(f".{new.name}.*")):
                left.unlink()
            if not begin_registry(new):
                unfinished = f"sqlite:///{new}"
                MlflowClient(tracking_uri=unfinished, registry_uri=unfinished).search_experiments(max_results=1)
                keep_registry(new)
            new.replace(path)
        yield


def at_its_place(uri: str, copies: Path) -> tuple[str, Path | None]:
    """Return the URI of a database whose places of artefacts are those of today: its own, or that of a copy where it cannot be written to.

    Args:
        uri: as it was named.
        copies: folder that a copy is put into.

    Returns:
        The URI, and the database that was named where it is a copy's: that one can be read only.
    """
    database = Path(uri.removeprefix("sqlite:///"))
    relocation = find_relocation(database) if uri.startswith("sqlite:///") and database.is_file() else None
    if relocation is None:
        return uri, None
    if not (os.access(database, os.W_OK) and os.access(database.parent, os.W_OK)):
        return f"sqlite:///{relocated_copy(database, relocation, copies)}", database
    relocate(database, relocation)
    return uri, None


def unreadable(uri: str, error: Exception) -> RegistryError:
    """Return what is said of a URI that cannot be opened, ``REGISTRY_UNREADABLE``; an error that says it already is given back."""
    if isinstance(error, RegistryError):
        return error
    why = " ".join(str(error).split())[:200] or type(error).__name__
    return RegistryError("REGISTRY_UNREADABLE", f"expected an MLflow registry at {shown(uri)}, it cannot be used ({why}); name another")
