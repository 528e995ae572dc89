"""The environment of every process we start, set before the libraries that read it are imported: nobody looks outside."""

from __future__ import annotations

import atexit
import gc
import os
from contextlib import suppress
from pathlib import Path

from medkd.storage.empty_database import cache_folder

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    # Prefect's pages show the logs of its runs; on the terminal an error of ours is one sentence, and any other is raised with its traceback.
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "true",
    "PREFECT_CLI_PROMPT": "false",
    # A server whose database went away says 500: for a minute it is asked again, as one that is itself away is.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


#: Holds the home that we gave Prefect, so that one which the user chose is told from it, also by the processes that we start.
_OWN_HOME = "MEDKD_OWN_PREFECT_HOME"


def prepare_environment() -> None:
    """Set what is not set already; the user's own settings win."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if "PREFECT_HOME" not in os.environ:
        # Prefect makes a home as it is imported, before a run has a folder; the embedded server's is the run's (prefect_database.py).
        os.environ[_OWN_HOME] = os.environ["PREFECT_HOME"] = str(cache_folder() / "prefect")
        with suppress(OSError):  # it makes the last folder only, and warns where the one above is missing
            cache_folder().mkdir(mode=0o700, parents=True, exist_ok=True)


def data_root() -> Path:
    """Return the folder that ``data.path`` of recipes is relative to: ``MEDKD_DATA``, or ``data`` in the present folder.

    Raises:
        SourceError: ``DATA_ROOT`` for a URI: which of its folders is meant, only a recipe says.
    """
    given = os.environ.get("MEDKD_DATA", "data")
    if "://" in given:
        from data_contracts.errors import SourceError  # with its package: not before Ctrl-C is listened to

        raise SourceError(
            "DATA_ROOT",
            f"expected a folder in MEDKD_DATA, got {given[:80]!r}; name the data of one recipe by --set data.path={given[:80]}/…",
        )
    return Path(given)


def has_own_home() -> bool:
    """Say whether Prefect's home is the one that we gave it, and not the user's."""
    return _OWN_HOME in os.environ and os.environ.get("PREFECT_HOME") == os.environ[_OWN_HOME]


def end_quickly() -> None:
    """Let this process end without a last search for garbage among torch's million objects: a second of every command and worker."""
    atexit.register(gc.freeze)
