"""A record among the parameters of a command stands for its fields: on the command line, and when the command is called."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from flows.commands.expand_options import expand_options


class Shape(StrEnum):
    round = "round"
    square = "square"


@dataclass(frozen=True)
class PlaceOptions:
    folder: Annotated[Path, typer.Option("--in", help="Where.")]
    port: Annotated[int, typer.Option(min=1, max=9, envvar="PLACE_PORT", help="Which.")] = 7


@dataclass(frozen=True)
class FarPlaceOptions(PlaceOptions):
    port: Annotated[int, typer.Option(help="Which, far away.")] = 8
    shapes: Annotated[list[Shape] | None, typer.Option("--shape")] = None


@dataclass(frozen=True)
class SpeechOptions:
    place: Annotated[str, typer.Option("--said-of")] = "nothing"
    loud: Annotated[bool, typer.Option("--loud")] = False


def written_out(
    name: Annotated[str, typer.Argument(help="Who.")],
    count: Annotated[int, typer.Option(help="How often.")] = 1,
    *,
    folder: Annotated[Path, typer.Option("--in", help="Where.")],
    port: Annotated[int, typer.Option(min=1, max=9, envvar="PLACE_PORT", help="Which.")] = 7,
    place: Annotated[str, typer.Option("--said-of")] = "nothing",
    loud: Annotated[bool, typer.Option("--loud")] = False,
    last: Annotated[bool, typer.Option("--last")] = False,
) -> None:
    """Say it."""


def by_records(
    name: Annotated[str, typer.Argument(help="Who.")],
    count: Annotated[int, typer.Option(help="How often.")] = 1,
    *,
    place: PlaceOptions,  # called as a field of the other record is
    speech: SpeechOptions,
    last: Annotated[bool, typer.Option("--last")] = False,
) -> None:
    """Say it."""
    typer.echo(repr((name, count, place, speech, last)))


def made(function):
    """Return the command that Typer makes of a function."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command("it")(function)
    return app


def described(command):
    return [(one.name, one.opts, one.default, one.help, one.envvar, one.required) for one in command.params]


def called(app, *typed, **environment):
    done = CliRunner(env=environment).invoke(app, typed)
    assert done.exit_code == 0, done.output
    return done.output.strip()


def test_the_command_is_that_of_the_options_written_out():
    apps = made(expand_options(by_records)), made(written_out)
    ours, plain = map(typer.main.get_command, apps)
    assert described(ours) == described(plain)
    assert called(apps[0], "--help") == called(apps[1], "--help")
    assert [one.name for one in ours.params] == ["name", "count", "folder", "port", "place", "loud", "last"]
    assert (ours.help, expand_options(by_records).__name__) == (plain.help, "by_records")


def test_records_are_made_of_what_was_typed_of_defaults_and_of_the_environment():
    app = made(expand_options(by_records))
    assert called(app, "ann", "--in", "x") == repr(("ann", 1, PlaceOptions(Path("x")), SpeechOptions(), False))
    typed = ("ann", "--last", "--loud", "--in", "x", "--count", "3", "--said-of", "them")
    assert called(app, *typed, PLACE_PORT="2") == repr(("ann", 3, PlaceOptions(Path("x"), 2), SpeechOptions("them", True), True))


@pytest.mark.parametrize(("typed", "said"), [((), "--in"), (("--in", "x", "--port", "10"), "equal to 9")])
def test_what_a_field_demands_is_demanded(typed, said):
    done = CliRunner().invoke(made(expand_options(by_records)), ["ann", *typed])
    assert done.exit_code == 2
    assert said in done.output


def test_a_record_that_is_made_of_another_keeps_its_order_and_says_fields_anew():
    def command(place: FarPlaceOptions) -> None:
        typer.echo(repr(place))

    app = made(expand_options(command))
    folder, port, shapes = typer.main.get_command(app).params
    assert (folder.help, port.help, port.default, port.envvar, shapes.multiple) == ("Where.", "Which, far away.", 8, None, True)
    assert called(app, "--in", "x", "--shape", "round", "--shape", "square") == repr(
        FarPlaceOptions(Path("x"), 8, [Shape.round, Shape.square])
    )


def test_the_function_itself_stays_as_it_is():
    before = dict(by_records.__annotations__), inspect.signature(by_records)
    expand_options(by_records)
    assert (by_records.__annotations__, inspect.signature(by_records)) == before


def test_two_options_of_one_name_are_refused():
    def command(folder: Path, place: PlaceOptions) -> None: ...

    with pytest.raises(ValueError, match="folder"):
        expand_options(command)
