"""The environment of a server's processes: what is safe unless the administrator's own environment says otherwise, and what of that is weak."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlflow_server.errors import Problem
from mlflow_server.settings import ServerSettings

_OFF = ("false", "0")
_ON = ("true", "1")
#: Variable, the value it gets, the values that are accepted of an administrator, and the code and the reason of a refusal.
_FIXED = (
    (
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
        "false",
        _OFF,
        "JOB_RUNNER_ON",
        "the job runner lets users start processes on the server",
    ),
    (
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION",
        "false",
        _OFF,
        "PICKLE_ALLOWED",
        "a model that is a pickle runs its author's code where it is read",
    ),
    ("MLFLOW_DISABLE_TELEMETRY", "true", _ON, "TELEMETRY_ON", "telemetry sends what is done here to others"),
    ("MLFLOW_BASIC_AUTH_FAIL_CLOSED", "true", _ON, "AUTH_FAILS_OPEN", "a route without a rule would be open to every user"),
    (
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE",
        "false",
        _OFF,
        "HOSTS_UNCHECKED",
        "without it the Host header is not checked and other web pages may send requests",
    ),
    ("MLFLOW_ENABLE_AI_GATEWAY", "false", _OFF, "GATEWAY_ON", "the gateway sends requests to addresses that users choose"),
)
#: Sources of model versions: those whose permissions MLflow can check, and the two names that stand for the source of a prompt.
MODEL_SOURCES = r"^(models:/|runs:/|mlflow-artifacts:/(?!/)|dummy-source$|prompt-template$)"


def server_environment(settings: ServerSettings) -> dict[str, str]:
    """Return the environment of ``mlflow server``: secrets and the database stand here, where other users of the machine cannot read them."""
    package = str(Path(__file__).parents[1])
    ours = {name: os.environ.get(name, value) for name, value, *_ in _FIXED}
    return {
        **os.environ,
        **ours,
        "DO_NOT_TRACK": "1",
        # A source checkout is on the path of the process that starts the server only by its present folder.
        "PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH")))),
        "MLFLOW_AUTH_CONFIG_PATH": str(settings.auth_config),
        "MLFLOW_AUTH_ADMIN_PASSWORD": settings.password_file.read_text(encoding="utf-8").strip(),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": settings.flask_secret_file.read_text(encoding="utf-8").strip(),
        "MLFLOW_BACKEND_STORE_URI": settings.database_uri,
        "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": MODEL_SOURCES,
    }


def weak_variables(environment: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what an administrator's environment would weaken."""
    for name, value, accepted, code, reason in _FIXED:
        found = environment.get(name, value)
        if found.lower() not in accepted:
            yield Problem(code, f"expected {name} to be {value}, got {found!r}: {reason}; unset it")
    if "*" in environment.get("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", ""):
        yield Problem("ORIGINS_WILDCARD", "expected origins by name, got * in MLFLOW_SERVER_CORS_ALLOWED_ORIGINS; unset it")


def missing_libraries(settings: ServerSettings) -> Iterator[Problem]:
    """Yield the libraries that these settings need and this Python lacks."""
    wanted = {"flask_wtf": "Flask-WTF"}
    if settings.database_uri.startswith("postgresql+psycopg:"):
        wanted["psycopg"] = "psycopg[binary]"
    if settings.artifact_location.startswith("s3://"):
        wanted["boto3"] = "boto3"
    for module, package in wanted.items():
        if importlib.util.find_spec(module) is None:
            yield Problem("LIBRARY_MISSING", f"expected the Python package {package}, it is not installed; pip install '{package}'")
