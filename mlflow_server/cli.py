"""The commands of the server. What a command needs is imported by it: ``--help`` answers at once."""

from __future__ import annotations

import functools
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from mlflow_server.errors import Problem, ServerError

BAD_INPUT, INTERRUPTED = 2, 130
F = TypeVar("F", bound=Callable[..., None])

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},
    help="Run a secured MLflow server: start, check, back up, restore, drill, upgrade.",
)

Folder = Annotated[Path, typer.Option("--folder", help="Folder of the server: settings, secrets, log, and what is put nowhere else.")]
Database = Annotated[
    str | None,
    typer.Option("--database", help="SQLAlchemy URI without a password, postgresql://USER@HOST/NAME; by default SQLite in the folder."),
]
Artifacts = Annotated[
    str | None, typer.Option("--artifacts", help="Folder or s3://BUCKET/PREFIX of the artefacts; by default in the folder.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of text.")]
DEFAULT_FOLDER = Path("mlflow-server")


def clear(command: F) -> F:
    """Let a command end with one sentence per problem and status 2 where something is wrong."""

    @functools.wraps(command)
    def call(*arguments: Any, **options: Any) -> None:
        """Call the command and end with what is wrong."""
        try:
            command(*arguments, **options)
        except ServerError as error:
            _end(error.problems, options.get("as_json", False), error)
        except OSError as error:
            sentence = f"expected to be able to go on, the system says: {error}; look at the disk and at who may write there"
            _end((Problem("SYSTEM_REFUSED", sentence),), options.get("as_json", False), error)

    return call  # type: ignore[return-value]


def _end(problems: tuple[Problem, ...], as_json: bool, error: BaseException) -> NoReturn:
    if as_json:
        _say(json.dumps({"problems": [{"code": problem.code, "message": problem.message} for problem in problems]}))
    for problem in problems:
        sys.stderr.write(f"{problem.code}: {problem.message}\n")
    raise SystemExit(BAD_INPUT) from error


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@app.command()
@clear
def serve(
    folder: Folder = DEFAULT_FOLDER,
    database: Database = None,
    artifacts: Artifacts = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT to listen on; 127.0.0.1:5000 unless it was said before.")] = None,
    allowed_hosts: Annotated[
        str | None, typer.Option(help="Names by which clients reach the server, with commas; each is allowed with the port and without.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that answer; one with SQLite.")] = None,
    tls_in_front: Annotated[
        bool | None, typer.Option("--tls-in-front/--no-tls-in-front", help="A proxy with TLS is the only way to this server.")
    ] = None,
) -> None:
    """Start the server and keep it until Ctrl-C. Options are remembered in the folder; weak settings are refused."""
    from mlflow_server.preflight import require_safe
    from mlflow_server.process import folder_of_its_own, running
    from mlflow_server.settings import changed, prepare, read_settings, write_settings

    host, port = _address(listen)
    hosts = tuple(name.strip() for name in allowed_hosts.split(",") if name.strip()) if allowed_hosts is not None else None
    settings = changed(
        read_settings(folder),
        database=database,
        artifacts=_place(artifacts),
        host=host,
        port=port,
        allowed_hosts=hosts,
        workers=workers,
        tls_in_front=tls_in_front,
    )
    require_safe(settings)
    # A service manager ends a service by this signal: it is the same wish as Ctrl-C, and no failure.
    signal.signal(signal.SIGTERM, _terminated)
    prepare(settings)
    with folder_of_its_own(settings.folder):
        require_safe(settings)  # secrets that were just made, and whatever changed while another server ended
        write_settings(settings)
        try:
            with running(settings) as server:
                _say(f"ready at {settings.url} (administrator: admin, password in {settings.password_file}; log in {settings.log})")
                status = server.wait()
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None
        raise ServerError(
            "SERVER_ENDED", f"expected the server to run until it is told to end, it ended with status {status}; read {settings.log}"
        )


def _terminated(number: int, frame: object) -> NoReturn:
    del number, frame
    raise SystemExit(0)


def _place(artifacts: str | None) -> str | None:
    """Return a folder by its whole path: what is typed is relative to the present folder, not to the server's."""
    return artifacts if not artifacts or "://" in artifacts else str(Path(artifacts).expanduser().resolve())


def _address(listen: str | None) -> tuple[str | None, int | None]:
    if listen is None:
        return None, None
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ServerError("ADDRESS_MALFORMED", f"expected HOST:PORT to listen on, got {listen}; for example 127.0.0.1:5000")
    return host.strip("[]"), int(port)


@app.command()
@clear
def preflight(
    folder: Folder = DEFAULT_FOLDER,
    url: Annotated[str | None, typer.Option(help="Running server that is asked too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say everything that is weak about a server: its settings, secrets, files, database, and whether it refuses strangers."""
    from mlflow_server.errors import WeakSettingsError
    from mlflow_server.preflight import weak_settings
    from mlflow_server.running import weak_server
    from mlflow_server.settings import read_settings

    settings = read_settings(folder)
    problems = (*weak_settings(settings), *(weak_server(url) if url else ()))
    if problems:
        raise WeakSettingsError(problems)
    known = "" if settings.folder.exists() else f"; no server was started in {settings.folder} yet: these are the defaults"
    _say(json.dumps({"problems": []}) if as_json else f"nothing weak found{known}")


@app.command()
@clear
def backup(
    target: Annotated[Path, typer.Argument(help="Folder that is made.")], folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """Copy databases, artefacts, settings and secrets into a new folder, with the sha256 of every file; the server may run."""
    from mlflow_server.backup import back_up
    from mlflow_server.settings import read_settings

    files = back_up(read_settings(folder), target)["files"]
    size = sum(facts["size"] for facts in files.values())
    _say(
        json.dumps({"backup": str(target), "files": len(files), "bytes": size})
        if as_json
        else f"{len(files)} files, {size} bytes in {target}"
    )


@app.command()
@clear
def restore(
    source: Annotated[Path, typer.Argument(help="Folder that backup made.")],
    folder: Folder = DEFAULT_FOLDER,
    database: Database = None,
    artifacts: Artifacts = None,
    as_json: AsJson = False,
) -> None:
    """Make a server of a backup in an empty folder; an altered backup is refused, and nothing is written over."""
    from mlflow_server.backup import restore as restore_backup

    settings = restore_backup(source, folder, database=database, artifact_location=_place(artifacts))
    _say(
        json.dumps({"folder": str(settings.folder)})
        if as_json
        else f"restored to {settings.folder}; start it with serve --folder {settings.folder}"
    )


@app.command()
@clear
def drill(
    folder: Folder = DEFAULT_FOLDER,
    scratch_database: Annotated[
        str | None, typer.Option(help="Empty PostgreSQL database to restore into, where the server's is one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Back up, restore elsewhere, start a server on it, ask for every model version; say the seconds of each part."""
    from mlflow_server.drill import drill as run_drill
    from mlflow_server.settings import read_settings

    found = run_drill(read_settings(folder), scratch_database=scratch_database)
    if as_json:
        _say(json.dumps(found))
        return
    for part, seconds in found["seconds"].items():
        _say(f"{part:10} {seconds:8.1f} s")
    _say(f"{found['versions']} model versions and {found['files']} of their files came back as they were")


@app.command()
@clear
def upgrade(
    folder: Folder = DEFAULT_FOLDER,
    backup_folder: Annotated[Path | None, typer.Option("--backup", help="Folder for the backup that is made first.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bring the databases of a server that does not run to the installed MLflow: backed up first, verified after."""
    from mlflow_server.settings import read_settings
    from mlflow_server.upgrade import upgrade as run_upgrade

    found = run_upgrade(read_settings(folder), backup_folder)
    if as_json:
        _say(json.dumps(found))
        return
    for name, (before, after) in found["changed"].items():
        _say(f"{name}: schema {before} is now {after}")
    _say(f"every row is there; the backup lies in {found['backup']}" if found["changed"] else "nothing to do")


def main() -> None:
    """Run the command line."""
    try:
        app(prog_name="python -m mlflow_server")
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
