"""The environment of every process we start, set before the libraries that read it are imported: nobody looks outside."""

from __future__ import annotations

import atexit
import gc
import os
from pathlib import Path

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    # Prefect logs the traceback of every failed run; an error of ours is one sentence, any other is raised with its traceback.
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def prepare_environment() -> None:
    """Set what is not set already; the user's own settings win."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def data_root() -> Path:
    """Return the folder that ``data.path`` of recipes is relative to: ``MEDKD_DATA``, or ``data`` in the present folder."""
    return Path(os.environ.get("MEDKD_DATA", "data"))


def prepare_prefect(home: Path) -> None:
    """Give the embedded Prefect a home of its own; must be called before prefect is imported."""
    from data_contracts.private import private_folder
    from flows.prefect_database import begin_database

    private_folder(home)
    if os.environ.setdefault("PREFECT_HOME", str(home)) == str(home):
        begin_database(home)


def end_quickly() -> None:
    """Let this process end without a last search for garbage among torch's million objects: a second of every command and worker."""
    atexit.register(gc.freeze)
