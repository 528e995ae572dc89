"""One of the processes that torchrun starts for a training: ``python -m medkd.training.ranks REQUEST``, as ``processes.py`` writes it."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from data_contracts import MedkdError, VersionedRecord
from data_contracts.private import privately
from medkd.progress import report_progress_to
from medkd.storage.store import write_bytes
from medkd.training.processes import ERROR, PROGRESS, RESULT


def run_rank(request: Path) -> None:
    """Do this process's part of a training; the first one writes what came of it beside the request.

    Args:
        request: file with the function's module and name, and its arguments.
    """
    asked = json.loads(request.read_bytes())
    function = inspect.unwrap(getattr(importlib.import_module(asked["module"]), asked["name"]))
    hints = get_type_hints(function)
    arguments = {name: TypeAdapter(hints[name]).validate_python(value) for name, value in asked["arguments"].items()}
    is_first = os.environ.get("RANK", "0") == "0"
    report_progress_to(_say_progress() if is_first else _say_nothing)
    try:
        result: VersionedRecord = function(**arguments)
    except MedkdError as error:
        met = {"kind": type(error).__name__, "code": error.code, "message": str(error)}
        write_bytes(request.with_name(ERROR), json.dumps(met).encode())
        raise SystemExit(1) from error
    if is_first:
        write_bytes(request.with_name(RESULT), result.canonical_json())


def _say_progress() -> Any:
    """Return what says how far the training is, by hundredths."""
    said = -1.0

    def say(share: float) -> None:
        nonlocal said
        if share >= said + 0.01 or share == 1.0 != said:
            said = share
            sys.stdout.write(f"{PROGRESS}{share:.4f}\n")
            sys.stdout.flush()

    return say


def _say_nothing(_share: float) -> None:
    """Let the first process speak for all."""


def _end_with_starter() -> None:
    """End this process when whoever started torchrun is gone: nobody would take its result, and a successor would write beside it."""
    os.read(0, 1)  # below Python's own stream, whose lock a thread that waits would keep when the process ends
    os._exit(1)


def main() -> None:
    """Train as the request says."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    with privately():
        run_rank(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
