"""What the commands share: the application, the registry and the run that they open, how results and errors are said."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from typer.core import TyperGroup

from data_contracts.errors import MedkdError, RecipeError
from data_contracts.private import open_private
from flows.commands.expand_options import expand_options
from flows.commands.hints import command_line
from flows.environment import data_root

if TYPE_CHECKING:
    from data_contracts import Recipe
    from medkd.registry.mlflow_registry import MlflowRegistry
    from medkd.storage.workspace import Workspace

C = TypeVar("C", bound=Callable[..., None])


class CommandGroup(StrEnum):
    """What commands are for; help lists them by it, in this order."""

    DATA = "Data"
    TRAINING = "Training"
    EXPLANATION = "Explanation"
    REGISTRY = "Registered models"
    REVIEW = "Review"
    OPERATION = "Operation"


class WholeHelp(TyperGroup):
    """Lists the commands by what they are for, with the whole first sentence of each: click cuts it at the end of the line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the lists."""
        found = [(name, command) for name in self.list_commands(ctx) if (command := self.get_command(ctx, name)) is not None]
        widest = max((len(name) for name, _ in found), default=0)
        for job in (*CommandGroup, None):
            rows = [
                # Padded, so that the lists stand in one column.
                (name.ljust(widest), " ".join((command.help or "").split("\n\n")[0].split()))
                for name, command in found
                if not command.hidden and (getattr(command, "rich_help_panel", None) or None) == job
            ]
            if rows:
                with formatter.section("Commands" if job is None else job.value):
                    formatter.write_dl(rows)


app = typer.Typer(
    cls=WholeHelp,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
)


def command(name: str | None = None, *, group: CommandGroup | None = None, of: typer.Typer = app) -> Callable[[C], C]:
    """Put a function on the command line, as ``app.command`` of Typer does; records among its parameters stand for their fields.

    Args:
        name: of the command; by default the function's.
        group: that help lists it under.
        of: the application that it is a command of; by default medkd itself.
    """

    def put(function: C) -> C:
        of.command(name, rich_help_panel=group)(expand_options(function))
        return function

    return put


#: Options of every command; wherever they are typed, they are read first.
_OF_ALL = ("-v", "--verbose")


def options_first(arguments: list[str]) -> list[str]:
    """Return the arguments with those that belong to every command at the front, where Typer looks for them."""
    ours = [argument for argument in arguments if argument in _OF_ALL]
    return ours[:1] + [argument for argument in arguments if argument not in _OF_ALL]


def _say_version(wanted: bool) -> None:
    if wanted:
        from medkd import __version__

        say(f"medkd {__version__}")
        raise typer.Exit


@app.callback()
def root(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line for every piece of work, however short.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version and end.")] = False,
) -> None:
    """medkd: distil and explain medical imaging models. Research use only."""
    del version
    os.environ["MEDKD_VERBOSE"] = "1" if verbose else "0"
    os.environ["MEDKD_MACHINE_OUTPUT"] = "1" if "--json" in sys.argv else "0"
    if sys.stderr.isatty() and len(sys.argv) > 1:
        # The first sign: libraries take seconds to be read. The bar overwrites it.
        sys.stderr.write("starting …\r")
        sys.stderr.flush()


def open_run(recipe_file: Path, out: Path | None, overrides: list[str] | None, *, runs: Path = Path("runs")) -> tuple[Recipe, Workspace]:
    """Return a bound recipe and the workspace of its run, by default below ``runs``."""
    from medkd.cohorts.prepare import data_folder
    from medkd.storage.output import require_source
    from medkd.storage.workspace import local_workspace
    from medkd.training.check_recipe import require_data
    from medkd.training.memory import require_training_memory
    from medkd.training.processes import require_processes
    from medkd.training.recipes import read_recipe

    wanted, root = recipe_overrides(overrides)
    recipe = read_recipe(recipe_file, wanted)
    data = data_folder(recipe.data, root)
    if data is not None:
        require_source(data)
    # Before the folder is claimed: a recipe that cannot run leaves nothing behind.
    require_training_memory(recipe, root)
    require_processes(recipe)
    folder = claim_run(out or runs / recipe.name, *(() if data is None else (data,)))
    require_data(recipe, recipe_file, wanted, root)
    return recipe, local_workspace(folder, progress=True, data_root=root)


def recipe_overrides(overrides: list[str] | None) -> tuple[dict[str, Any], Path]:
    """Return the fields that ``--set`` gives a recipe, and the folder that its ``data.path`` is relative to."""
    from medkd.storage.remote import is_uri

    wanted, root = parse_overrides(overrides), data_root()
    named = wanted.get("data.path")
    if isinstance(named, str) and is_uri(named):
        from medkd.storage.shared_folder import bring_folder

        named = str(bring_folder(named))
    if isinstance(named, str) and os.path.isabs(named):
        # A recipe may be a stranger's and names folders below the data root only; who types the whole path means that folder.
        place = Path(os.path.realpath(named))
        root, wanted["data.path"] = place.parent, place.name or "."
    return wanted, root


def local_folder(place: str) -> Path:
    """Return a folder that a command reads, brought to this machine where it is named by a URI: of a store, or of studies of an archive.

    Raises:
        SourceError: ``SOURCE_MISSING``; StoreError: as ``bring_folder``; NetworkError: as ``bring``.
    """
    from medkd.network.addresses import is_network_source
    from medkd.storage.remote import is_uri

    if is_network_source(place):
        from medkd.network.archives import bring

        return bring(place)
    if not is_uri(place):
        return Path(place)
    from medkd.storage.shared_folder import bring_folder

    return bring_folder(place)


def use_store(uri: str | None) -> None:
    """Let a run, and every process of it, share its objects with other machines (``--store``)."""
    if uri is not None:
        from medkd.storage.objects import STORE
        from medkd.storage.remote import checked_uri

        os.environ[STORE] = checked_uri(uri)


@contextmanager
def receiving_registry(run_folder: Path, tracking_uri: str | None) -> Iterator[MlflowRegistry]:
    """Open the registry that versions from elsewhere are taken into: a server's, or a run's, which is made where there is none."""
    from data_contracts.private import privately

    root = run_folder.resolve()
    if tracking_uri is not None or (root / "mlflow.db").exists():
        registry_uri(root, tracking_uri)
    else:
        claim_run(root)
    from medkd.registry.mlflow_registry import MlflowRegistry

    with privately():
        yield MlflowRegistry(tracking_uri or f"sqlite:///{root / 'mlflow.db'}", artifacts=root / "mlartifacts")


def claim_run(folder: Path, *sources: Path) -> Path:
    """Make a folder that of a run, or go on in one that is, once its sources are known to be there and apart from it; return it resolved."""
    from medkd.storage.output import RUN, claim, require_apart, require_source

    for source in sources:
        require_source(source)
        require_apart(source, folder)
    return claim(folder.resolve(), RUN)


def registry_uri(run_folder: Path, tracking_uri: str | None) -> str:
    """Return where the registry is; one that cannot be asked is refused here, before anything heavy is imported.

    Raises:
        RegistryError: as :func:`medkd.registry.server.require_registry`.
    """
    from medkd.registry.server import require_registry

    # Resolved: SQLite would look for a relative path from wherever the process is.
    uri = tracking_uri or f"sqlite:///{run_folder.resolve() / 'mlflow.db'}"
    require_registry(uri)
    return uri


def parse_overrides(overrides: list[str] | None) -> dict[str, Any]:
    """Return the values of ``--set``, each read as YAML.

    Raises:
        RecipeError: ``RECIPE_OVERRIDE`` naming the field whose value is no YAML.
    """
    from medkd.yaml_text import YamlRefused, parse_yaml

    parsed = {}
    for name, value in pairs(overrides, "--set FIELD=VALUE").items():
        try:
            parsed[name] = parse_yaml(value, f"--set {name}")
        except YamlRefused as error:
            raise RecipeError("RECIPE_OVERRIDE", f"{error}; quote the value as YAML does") from error
    return parsed


def pairs(items: list[str] | None, wanted: str) -> dict[str, str]:
    """Return NAME=VALUE options as a dictionary."""
    parsed = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        if not equals:
            raise RecipeError("RECIPE_OVERRIDE" if wanted.startswith("--set") else "OPTION_PAIR", f"expected {wanted}, got {item!r}")
        parsed[name] = value
    return parsed


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def say_json(payload: dict[str, Any]) -> None:
    say(json.dumps(payload))


def write_json(path: Path, payload: dict[str, Any]) -> None:
    with open_private(path, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(payload, indent=1) + "\n")


def mlflow_page(tracking_uri: str) -> str:
    """Return where a browser shows the experiments of a registry; of a database, where ``mlflow ui`` shows them.

    MLflow 3.17 opens an experiment in the view that its reader chose last, at first that of traces, whatever kind the experiment is of. The view
    is no part of the address: with ``?workflowType=`` in it the choice is shown as made, is not kept, and the next page has traces again.
    """
    from medkd.registry.server import shown

    server = shown(tracking_uri).rstrip("/") if tracking_uri.startswith(("http://", "https://")) else "http://127.0.0.1:5000"
    return f"{server}/#/experiments"


def say_where(summary: dict[str, Any], folder: Path) -> None:
    """Say what a run left and where."""
    if summary["ingest"]:
        counts = summary["ingest"]
        say(
            f"\nstudies   {counts['found']} files found: {counts['accepted']} accepted, {counts['quarantined']} quarantined, {counts['ignored']} ignored"
        )
    if summary["models"]:
        say(f"registry  {len(summary['models'])} model versions, {summary['explanations']} explanations")
        uri = summary["tracking_uri"]
        if not uri.startswith(("http://", "https://")):
            say(f"          open it with: {command_line('mlflow', 'ui', '--backend-store-uri', uri)}")
        say(f"          look at {mlflow_page(uri)} and choose Model training at its top left, once")
    if summary["repeated"]:
        again = ", ".join(f"{name} ({count})" for name, count in summary["repeated"].items())
        say(f"repeated  after an interruption, here or in an earlier start of this run: {again}")
    for page in summary["reports"]:
        say(f"report    {page}")
    say(f"summary   {folder / 'summary.json'} ({summary['seconds']:.0f} s, engine {summary['engine']})")


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn an error into one sentence and exit status 2: an error of ours, what the system refuses, and what nobody foresaw.

    What nobody foresaw is a fault of medkd's: where it happened is written to a file that can be sent, never to the terminal.
    """
    try:
        yield
    except MedkdError as error:
        _end(error.code, str(error), error)
    except MemoryError as error:
        _end("MEMORY_TOO_SMALL", "expected to hold the data in memory, there is too little; make it smaller, or free some", error)
    except OSError as error:
        _end(
            "SYSTEM_REFUSED", f"expected to be able to go on, the system says: {error}; look at the disk and at who may write there", error
        )
    except Exception as error:
        place = _keep_trace(error)
        _end(
            "UNEXPECTED",
            f"expected to go on, got {type(error).__name__}: {str(error)[:300]}; this is a fault of medkd, report it with {place}",
            error,
        )


def _end(code: str, sentence: str, error: BaseException) -> NoReturn:
    sys.stderr.write(f"{code}: {' '.join(sentence.split()) if code in _FOREIGN_WORDS else sentence}\n")
    raise SystemExit(2) from error


#: Codes whose sentences quote other programs, which may say several lines.
_FOREIGN_WORDS = ("SYSTEM_REFUSED", "UNEXPECTED")


def _keep_trace(error: BaseException) -> str:
    """Write where an error happened to a file of the user's own, and return its name."""
    try:
        handle, name = tempfile.mkstemp(prefix="medkd-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.writelines(traceback.format_exception(error))
        return name
    except OSError:
        return "-v"


def column_names(given: list[str] | None) -> dict[str, str]:
    """Return the columns that ``--column`` names: of files (``id``), patients and classes.

    Raises:
        RecipeError: ``OPTION_VALUE`` for another name.
    """
    from data_contracts import RecipeError

    named = pairs(given, "--column id=COLUMN")
    wrong = sorted(set(named) - {"id", "patient", "label"})
    if wrong:
        raise RecipeError("OPTION_VALUE", f"expected --column id=COLUMN, patient=COLUMN or label=COLUMN, got {wrong[0]!r}")
    return named
