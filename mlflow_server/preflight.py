"""What is weak about a server before it is started: each setting that should not be, with a code and one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mlflow_server.database import TRACKING, USERS, has_password, head, revision, shown, sqlite_file
from mlflow_server.environment import missing_libraries, weak_variables
from mlflow_server.errors import Problem, ServerError, WeakSettingsError
from mlflow_server.private import open_to_others
from mlflow_server.settings import LOOPBACK, ServerSettings

PASSWORD_LENGTH, SECRET_LENGTH = 12, 32
#: Passwords that MLflow shipped, and what people take instead.
DEFAULT_PASSWORDS = ("password1234", "password", "admin", "mlflow", "changeme")
#: Older versions let paths leave the artefact folder and users pass the checks of basic-auth.
OLDEST_MLFLOW = (3, 11)
_WEB_FOLDERS = ("public_html", "htdocs", "wwwroot", "www", "webroot", "nginx", "html")


def require_safe(settings: ServerSettings) -> None:
    """Refuse weak settings.

    Raises:
        WeakSettingsError: with all of them.
    """
    found = weak_settings(settings)
    if found:
        raise WeakSettingsError(found)


def weak_settings(settings: ServerSettings) -> tuple[Problem, ...]:
    """Return everything that is weak about the settings, this process's environment and the files that are there."""
    missing = tuple(missing_libraries(settings))
    found = [*_mlflow(), *missing, *_secrets(settings), *_files(settings), *_network(settings), *_permissions(settings)]
    found += [*weak_variables(os.environ), *_artifacts(settings), *_database(settings)]
    # Without its driver nobody can ask a database anything.
    return tuple(found if missing else [*found, *_schema(settings)])


def _mlflow() -> Iterator[Problem]:
    try:
        installed = version("mlflow")
    except PackageNotFoundError:
        yield Problem("MLFLOW_MISSING", "expected MLflow, it is not installed; pip install 'mlflow[auth]'")
        return
    numbers = tuple(int(part) for part in installed.split(".")[:2] if part.isdigit())
    if numbers < OLDEST_MLFLOW:
        oldest = ".".join(map(str, OLDEST_MLFLOW))
        yield Problem(
            "MLFLOW_OUTDATED",
            f"expected MLflow {oldest} or newer, got {installed}, whose file and permission checks can be passed; upgrade it",
        )


def _secrets(settings: ServerSettings) -> Iterator[Problem]:
    path = settings.password_file
    if path.is_file():
        password = path.read_text(encoding="utf-8").strip()
        if password.lower() in DEFAULT_PASSWORDS:
            yield Problem(
                "PASSWORD_DEFAULT", f"expected a password of its own in {path}, got one that everybody knows; write another into it"
            )
        elif len(password) < PASSWORD_LENGTH:
            yield Problem(
                "PASSWORD_SHORT",
                f"expected a password of at least {PASSWORD_LENGTH} characters in {path}, got {len(password)}; write a longer one",
            )
    path = settings.flask_secret_file
    if path.is_file() and (length := len(path.read_text(encoding="utf-8").strip())) < SECRET_LENGTH:
        yield Problem(
            "SECRET_SHORT",
            f"expected a secret of at least {SECRET_LENGTH} characters in {path}, got {length}; remove the file: a new one is made",
        )


def _files(settings: ServerSettings) -> Iterator[Problem]:
    databases = [file for uri in (settings.database_uri, settings.auth_uri) if (file := sqlite_file(uri)) is not None]
    secrets = [settings.password_file, settings.flask_secret_file, settings.auth_config, settings.log, *databases]
    for path in (settings.folder, *dict.fromkeys(secrets)):
        if path.exists() and open_to_others(path):
            mode, wanted = path.stat().st_mode & 0o777, "700" if path.is_dir() else "600"
            yield Problem(
                "FILE_OPEN_TO_OTHERS",
                f"expected mode {wanted} of {path}, got {mode:o}: others of this machine can use it; chmod {wanted} {path}",
            )


def _network(settings: ServerSettings) -> Iterator[Problem]:
    if settings.host not in LOOPBACK and not settings.tls_in_front:
        yield Problem(
            "LISTENS_WITHOUT_TLS",
            f"expected to listen on 127.0.0.1, got {settings.host}: passwords would pass the network in clear; put a proxy with TLS in front and say --tls-in-front",
        )
    wild = [host for host in settings.allowed_hosts if "*" in host]
    if wild or not settings.allowed_hosts:
        got = ", ".join(wild) or "none"
        yield Problem(
            "HOSTS_WILDCARD", f"expected allowed hosts by name, got {got}: a page elsewhere could rebind its name to this server; name them"
        )


def _permissions(settings: ServerSettings) -> Iterator[Problem]:
    if settings.default_permission != "NO_PERMISSIONS":
        yield Problem(
            "DEFAULT_PERMISSION",
            f"expected the default permission NO_PERMISSIONS, got {settings.default_permission}: every user would have it on every model; change server.json",
        )


def _artifacts(settings: ServerSettings) -> Iterator[Problem]:
    location = settings.artifact_location
    if "://" in location:
        if not location.startswith("s3://"):
            yield Problem("ARTIFACTS_UNSUPPORTED", f"expected a folder or s3://BUCKET/PREFIX for artefacts, got {location}; name one")
        return
    folder = Path(location)
    if set(folder.parts) & set(_WEB_FOLDERS):
        yield Problem(
            "ARTIFACTS_IN_WEB_FOLDER", f"expected artefacts outside of what a web server shows, got {folder}; name another folder"
        )
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield Problem(
            "ARTIFACTS_UNWRITABLE",
            f"expected a folder for artefacts that may be written to, got {folder}; give it to this user or name another",
        )


def _database(settings: ServerSettings) -> Iterator[Problem]:
    uri = settings.database_uri
    if has_password(uri):
        yield Problem(
            "DATABASE_PASSWORD_SHOWN",
            f"expected a database URI without a password, got {shown(uri)}: command lines are seen by all; put the password into ~/.pgpass (mode 600)",
        )
    if sqlite_file(uri) is not None and settings.workers > 1:
        yield Problem(
            "SQLITE_WORKERS",
            f"expected one worker with SQLite, got {settings.workers}: their writes would lock each other out; use PostgreSQL",
        )


def _schema(settings: ServerSettings) -> Iterator[Problem]:
    uri = settings.database_uri
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        return  # a new one is laid out at the first start
    try:
        found, wanted = revision(uri, TRACKING), head(TRACKING)
        users = revision(settings.auth_uri, USERS) if file is None or Path(settings.folder / "auth.db").exists() else ""
    except ServerError as error:
        yield Problem(error.code, error.message)
        return
    if found and found != wanted:
        yield Problem(
            "SCHEMA_OUTDATED", f"expected the database at schema {wanted}, got {found}; run the command upgrade, which backs up first"
        )
    if users and users != head(USERS):
        yield Problem(
            "SCHEMA_OUTDATED",
            f"expected the database of users at schema {head(USERS)}, got {users}; run the command upgrade, which backs up first",
        )
