"""Commands about the trained models that come with the software: models list, models install."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.common import CommandGroup, WholeHelp, app, command, receiving_registry, say, say_json
from flows.commands.hints import command_line
from flows.commands.options import DEMO_RUN, AsJson, TrackingUri

if TYPE_CHECKING:
    from medkd.released.install import InstalledModel
    from medkd.released.released_models import ReleasedModel

models_app = typer.Typer(cls=WholeHelp, no_args_is_help=True, rich_markup_mode=None, help="Use the trained models that come with medkd.")
app.add_typer(models_app, name="models", rich_help_panel=CommandGroup.REGISTRY)


@command("list", of=models_app)
def list_command(as_json: AsJson = False) -> None:
    """Say which trained models come with medkd: what they see, how well, trained on what, under which licence."""
    from medkd.released.released_models import released_models

    found = released_models()
    if as_json:
        say_json({"models": [_described(one) for one in found]})
        return
    for one in found:
        say(_text(one))
    say(f"{found[0].card.intended_use if found else 'no model is released'}")


@command("install", of=models_app)
def install_command(
    names: Annotated[list[str] | None, typer.Argument(help="Names of `medkd models list`; all without.")] = None,
    run_folder: Annotated[Path, typer.Option("--run", help="Run whose registry takes them in; made where there is none.")] = DEMO_RUN,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Register the trained models that come with medkd, every byte verified, so that a study can be explained without any training."""
    from medkd.released.released_models import released_models

    wanted = released_models(names or ())
    with receiving_registry(run_folder, tracking_uri) as registry:
        from medkd.released.install import install_released

        done = install_released(registry, wanted)
    where = ("--tracking-uri", tracking_uri) if tracking_uri else ("--run", str(run_folder))
    if as_json:
        say_json({"ok": True, "installed": [_installed(one, where) for one in done]})
        return
    for one in done:
        for version in one.versions:
            say(f"{version.model.uri.ljust(44)}{'was here before' if version.existed else 'registered'}, {version.model.role.value}")
        say(
            f"  {one.released.card.trained_on}; {one.released.main_figure}; data {one.released.card.data.licence if one.released.card.data else ''}"
        )
        say(f"  next: {_next(one, where)}")
    say(f"{done[0].released.card.intended_use} No clinical claim is made.")


def _next(one: InstalledModel, where: tuple[str, str]) -> str:
    """Return the command that asks an installed model."""
    return command_line("medkd", *(one.uri if word == "MODEL" else word for word in one.released.use), *where)


def _installed(one: InstalledModel, where: tuple[str, str]) -> dict[str, object]:
    versions = [{"uri": version.model.uri, "role": version.model.role.value, "existed": version.existed} for version in one.versions]
    return {"name": one.released.name, "uri": one.uri, "versions": versions, "next": _next(one, where)}


def _described(one: ReleasedModel) -> dict[str, object]:
    card = one.card
    return {
        "name": one.name,
        "versions": list(one.versions),
        "task": card.task.kind.value,
        "classes": list(card.task.classes),
        "structures": card.structures,
        "parameters": card.parameters,
        "figure": one.main_figure,
        "data": None if card.data is None else card.data.model_dump(),
        "training_patients": len(card.patients),
        "bytes": one.size,
        "intended_use": card.intended_use,
    }


def _text(one: ReleasedModel) -> str:
    card = one.card
    outlined = "anatomy" if card.structures == "anatomy" else "lesions"
    task = f"outlines {outlined}" if card.task.kind.value == "segmentation" else "classifies"
    lines = [
        f"{one.name}  ({one.size / 2**20:.1f} MiB: {', '.join(one.versions)})",
        f"  {task}: {', '.join(card.task.classes)}; {card.parameters:,} parameters; {one.main_figure}",
    ]
    if card.data is not None:
        lines.append(f"  trained on {card.trained_on}: {card.data.name}, {len(card.patients)} patients; licence {card.data.licence}")
    return "\n".join(lines)
