"""The command that lists the catalogues."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from flows.commands.common import CommandGroup, command, say, say_json
from flows.commands.options import AsJson


class Kind(StrEnum):
    losses = "losses"
    explainers = "explainers"
    measures = "measures"
    networks = "networks"


@command("list", group=CommandGroup.TRAINING)
def list_command(kind: Annotated[Kind, typer.Argument(help="Which folder.")], as_json: AsJson = False) -> None:
    """List losses, explainers, measures or networks with what they declare: needs, range, source, where they cannot work."""
    from medkd.catalogue import CATALOGUES

    folder = CATALOGUES[kind.value]
    entries = [folder.entry(name).described() for name in folder.names()]
    if as_json:
        say_json({"entries": entries})
        return
    width = max(len(entry["name"]) for entry in entries)
    for entry in entries:
        say(f"{entry['name'].ljust(width)}  {entry['summary']}")
        for title, text in _facts(entry):
            say(f"{' ' * width}  {title}: {text}")


def _facts(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what an entry declares, as (title, text)."""
    if entry["options"]:
        yield "options", ", ".join(f"{key}={value}" for key, value in entry["options"].items())
    if "needs" in entry:
        yield "needs", ", ".join(entry["needs"]) or "nothing"
    if "tasks" in entry:
        yield "for", ", ".join(entry["tasks"])
    if "range" in entry:
        flags = [name.replace("_", " ") for name in ("minimum_at_teacher", "batch_coupled", "mixes") if entry.get(name)]
        yield "range", " to ".join(str(bound) for bound in entry["range"]) + (f" ({', '.join(flags)})" if flags else "")
    if "scope" in entry:
        held = [name for name in ("signed", "complete", "additive", "differentiable") if entry.get(name)]
        yield "is", ", ".join([entry["scope"], entry["access"], *held])
        yield "randomisation", "passes" if entry["passes_randomisation"] else "does not pass: it says more of the image than of the network"
    if "incompatible" in entry:
        for where, reason in entry["incompatible"].items():
            yield f"not {where}", reason
    if "source" in entry:
        yield "source", entry["source"]
