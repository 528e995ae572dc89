"""Commands of who keeps medkd running: deploy, status, ui."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from data_contracts.errors import SourceError
from flows.commands.common import CommandGroup, command, say, say_json
from flows.commands.options import DEMO_RUN, AsJson

_FILE = Path(__file__).parents[1] / "prefect.yaml"


@command(group=CommandGroup.OPERATION)
def deploy(
    names: Annotated[list[str] | None, typer.Argument(help="Deployments; by default all of flows/prefect.yaml.")] = None,
    pool: Annotated[str, typer.Option(help="Work pool, made where there is none.")] = "medkd",
    file: Annotated[Path | None, typer.Option(help="File of deployments; by default flows/prefect.yaml.")] = None,
) -> None:
    """Make the deployments of a Prefect server (PREFECT_API_URL): their schedules are then kept by whoever runs `prefect worker start`."""
    require_server_named()
    prefect = Path(sys.executable).with_name("prefect")
    _call(prefect, "work-pool", "create", pool, "--type", "process", "--overwrite")
    chosen = [part for name in names or [] for part in ("--name", name)] or ["--all"]
    _call(prefect, "deploy", "--prefect-file", str(file or _FILE), "--pool", pool, *chosen, "--no-prompt")
    say(
        f"deployed {', '.join(names) if names else 'everything'} to {os.environ['PREFECT_API_URL']}; start a worker: {prefect} worker start --pool {pool}"
    )


@command(group=CommandGroup.OPERATION)
def status(
    run_folder: Annotated[
        Path | None, typer.Option("--run", help="Run with an embedded Prefect; by default PREFECT_API_URL is asked.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="How far back.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Say what ran, what waits, what failed and why, and how long it took."""
    from flows.status import read_status, status_text

    if run_folder is None:
        require_server_named()
        found = read_status(None, days)
    else:
        if not (run_folder / "prefect").is_dir():
            raise SourceError(
                "RUN_MISSING", f"expected a run with Prefect's records at {run_folder}, there is none; name another with --run"
            )
        found = _embedded_status(run_folder.resolve(), days)
    if as_json:
        say_json(found.as_json())
    else:
        say(status_text(found))


def _embedded_status(run: Path, days: int) -> Any:
    from flows.prefect_history import prefect_history
    from flows.status import read_status

    with prefect_history(run) as history:
        if history is None:
            raise SourceError("RUN_MISSING", f"expected Prefect's records in {run}, there are none; was it run with --engine prefect?")
        return read_status(history.url, days)


@command(group=CommandGroup.OPERATION)
def ui(run_folder: Annotated[Path, typer.Option("--run", help="Run whose pages are shown.")] = DEMO_RUN) -> None:
    """Serve the Prefect and MLflow pages of a run on this machine until Ctrl-C, and say where they are."""
    from flows.pages import serve_pages

    if not (run_folder / "mlflow.db").is_file():
        raise SourceError("RUN_MISSING", f"expected a run at {run_folder}, there is no mlflow.db in it; name another with --run")
    serve_pages(run_folder.resolve(), say)


def require_server_named() -> None:
    """Refuse to go on without a lasting server.

    Raises:
        SourceError: ``PREFECT_UNNAMED``.
    """
    if not os.environ.get("PREFECT_API_URL"):
        raise SourceError(
            "PREFECT_UNNAMED",
            "expected PREFECT_API_URL to name a Prefect server, it is not set; start one with `prefect server start` and export it",
        )


def _call(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-300:]
        raise SourceError("PREFECT_COMMAND", f"expected `{Path(command[0]).name} {command[1]}` to work, it said: {said}")
