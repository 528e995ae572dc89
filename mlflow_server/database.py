"""The databases of a server: what lies in them, a consistent copy of them, and the way back."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from sqlalchemy.pool import NullPool

from mlflow_server.errors import ServerError

#: Where MLflow's migrations lie below its package, and the table in which a database says which it has: of the tracking database, of users.
TRACKING = ("store/db_migrations/versions", "alembic_version")
USERS = ("server/auth/db/migrations/versions", "alembic_version_auth")
#: Tables that no upgrade may lose a row of.
COUNTED = ("experiments", "runs", "registered_models", "model_versions", "model_version_tags", "registered_model_aliases")


@dataclass(frozen=True)
class ModelVersion:
    """A version as the database has it.

    Attributes:
        name: registered model.
        version: its number.
        source: where its artefacts were registered from.
        run_id: run that made it; empty when none did.
        tags: its tags as sorted pairs.
    """

    name: str
    version: str
    source: str
    run_id: str
    tags: tuple[tuple[str, str], ...]


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite database, None for a database server."""
    url = sqlalchemy.make_url(uri)
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def has_password(uri: str) -> bool:
    """Return whether a URI shows a password."""
    return sqlalchemy.make_url(uri).password is not None or "password" in sqlalchemy.make_url(uri).query


@contextlib.contextmanager
def connected(uri: str) -> Iterator[sqlalchemy.Connection]:
    """Open a connection and close it with the block; a SQLite file that is not there is not made.

    Raises:
        ServerError: ``DATABASE_UNREACHABLE`` with what the driver says.
    """
    engine = sqlalchemy.create_engine(uri, poolclass=NullPool)
    try:
        file = sqlite_file(uri)
        if file is not None and not file.is_file():
            raise ServerError(
                "DATABASE_UNREACHABLE", f"expected a database at {file}, found no file; start the server once, or name another"
            )
        with engine.connect() as connection:
            yield connection
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        why = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
        raise ServerError(
            "DATABASE_UNREACHABLE", f"expected a database at {shown(uri)}, it cannot be used ({why}); start it, or mend the URI"
        ) from error
    finally:
        engine.dispose()


def shown(uri: str) -> str:
    """Return a URI without its password."""
    without_password: str = sqlalchemy.make_url(uri).render_as_string(hide_password=True)
    return without_password


def tables(uri: str) -> set[str]:
    """Return the names of the tables."""
    with connected(uri) as connection:
        return set(sqlalchemy.inspect(connection).get_table_names())


def revision(uri: str, kind: tuple[str, str]) -> str:
    """Return the schema revision of a database, empty where MLflow has laid out nothing."""
    if kind[1] not in tables(uri):
        return ""
    with connected(uri) as connection:
        return str(connection.execute(sqlalchemy.text(f"SELECT version_num FROM {kind[1]}")).scalar_one())


def head(kind: tuple[str, str]) -> str:
    """Return the schema revision that the installed MLflow works with, read from its migrations without running them."""
    spec = importlib.util.find_spec("mlflow")
    folder = Path((spec.submodule_search_locations or [""])[0] if spec else "") / kind[0]
    revisions: set[str] = set()
    replaced: set[str] = set()
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        revisions |= set(re.findall(r"^revision\b[^=]*=\s*[\"'](\w+)[\"']", text, re.M))
        for line in re.findall(r"^down_revision\b[^=]*=(.*)$", text, re.M):
            replaced |= set(re.findall(r"[\"'](\w+)[\"']", line))
    heads = revisions - replaced
    if len(heads) != 1:
        raise ServerError("MLFLOW_UNREADABLE", f"expected one last migration in {folder}, found {sorted(heads)}; install MLflow again")
    return heads.pop()


def counts(uri: str) -> dict[str, int]:
    """Return the number of rows of the tables that hold what users made."""
    present = sorted(set(COUNTED) & tables(uri))
    with connected(uri) as connection:
        return {name: int(connection.execute(sqlalchemy.text(f"SELECT COUNT(*) FROM {name}")).scalar_one()) for name in present}


def model_versions(uri: str) -> list[ModelVersion]:
    """Return every version that was not deleted, by name and number."""
    with connected(uri) as connection:
        tags: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for key, value, name, version in connection.execute(sqlalchemy.text('SELECT "key", value, name, version FROM model_version_tags')):
            tags.setdefault((str(name), str(version)), []).append((str(key), str(value)))
        rows = connection.execute(
            sqlalchemy.text(
                "SELECT name, version, source, run_id FROM model_versions WHERE current_stage <> 'Deleted_Internal' ORDER BY name, version"
            )
        )
        return [
            ModelVersion(
                str(name), str(version), str(source or ""), str(run_id or ""), tuple(sorted(tags.get((str(name), str(version)), [])))
            )
            for name, version, source, run_id in rows
        ]


def dump_name(uri: str) -> str:
    """Return the name of the file that :func:`dump` writes for a tracking database."""
    return "database.sqlite" if sqlite_file(uri) is not None else "database.pgdump"


def dump(uri: str, target: Path) -> None:
    """Write a consistent copy of a database that may be in use.

    Raises:
        ServerError: ``DATABASE_UNREACHABLE``; ``TOOL_MISSING`` or ``TOOL_FAILED`` for PostgreSQL's programs.
    """
    file = sqlite_file(uri)
    if file is None:
        _postgres("pg_dump", uri, "--format=custom", "--no-owner", f"--file={target}")
        return
    with connected(uri):
        pass
    with (
        contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)


def load(copy: Path, uri: str) -> None:
    """Fill an empty database from a copy, wholly or not at all.

    Raises:
        ServerError: ``TARGET_NOT_EMPTY`` naming the database; ``TOOL_MISSING`` or ``TOOL_FAILED``.
    """
    file = sqlite_file(uri)
    if file is None:
        if tables(uri):
            raise ServerError("TARGET_NOT_EMPTY", f"expected an empty database at {shown(uri)}, it has tables; make another (createdb)")
        _postgres("pg_restore", uri, "--exit-on-error", "--single-transaction", "--no-owner", str(copy))
        return
    if file.exists():
        raise ServerError("TARGET_NOT_EMPTY", f"expected no database at {file}, there is one; name another folder")
    with contextlib.closing(sqlite3.connect(copy)) as source, contextlib.closing(sqlite3.connect(file)) as target:
        source.backup(target)


def _postgres(program: str, uri: str, *arguments: str) -> None:
    # libpq reads the password from PGPASSFILE or ~/.pgpass: none stands in a command line.
    plain = sqlalchemy.make_url(uri).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        done = subprocess.run([program, "--no-password", f"--dbname={plain}", *arguments], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ServerError(
            "TOOL_MISSING", f"expected the program {program}, it is not installed; apt-get install postgresql-client"
        ) from error
    if done.returncode:
        raise ServerError(
            "TOOL_FAILED", f"expected {program} to end well, it says: {' '.join(done.stderr.split())[:300]}; mend that and try again"
        )
