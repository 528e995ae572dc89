"""Commands about exported forms of registered models: export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_contracts.compression import FormKind
from flows.commands.common import CommandGroup, command, say, say_json
from flows.commands.hints import command_line
from flows.commands.options import AsJson, RegistryOptions

if TYPE_CHECKING:
    from medkd.registry.export_form import ExportOutcome


@command("export", group=CommandGroup.REGISTRY)
def export_command(
    uri: Annotated[str, typer.Argument(metavar="URI", help="Registered network, models:/NAME/VERSION or models:/NAME@ALIAS.")],
    to: Annotated[FormKind, typer.Option(help="Format: ONNX, OpenVINO's own (the fastest on processors), or a MONAI Bundle.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write to; by default exports/NAME-VERSION-FORMAT.")] = None,
    *,
    registry: RegistryOptions,
    as_json: AsJson = False,
) -> None:
    """Write a registered network in a form that others run, compare it with the network itself, and put it below the version."""
    address = registry.uri()
    from flows.commands.registry import open_alone
    from medkd.registry.export_form import export_form
    from medkd.registry.interface import resolve
    from medkd.storage.output import FORM, claim

    opened = open_alone(address)
    model = resolve(opened, uri)
    folder = claim((out or Path("exports") / f"{model.name}-{model.version}-{to.value}").resolve(), FORM)
    done = export_form(opened, model.uri, to, folder)
    where = registry.arguments()
    if as_json:
        say_json(
            {
                "ok": True,
                "folder": str(done.folder),
                "attached": done.attached,
                "next": _next(done, where),
                **done.form.model_dump(mode="json"),
            }
        )
    else:
        say(_text(done, where))


def _next(done: ExportOutcome, where: tuple[str, str]) -> str:
    """Return the command that uses the form."""
    from medkd.registry.form_texts import next_step

    program, *words = next_step(done.form.source.uri, done.form.kind)
    if done.form.kind is FormKind.BUNDLE:
        return command_line(program, *words)
    return command_line(program, *words, *where)


def _text(done: ExportOutcome, where: tuple[str, str]) -> str:
    form = done.form
    maps = "it has no class map" if form.map_difference is None else f"class maps by {form.map_difference:.2g}"
    below = f"forms/{form.name} of {form.source.uri}"
    return "\n".join(
        [
            f"{form.kind.value.ljust(10)}{form.bytes / 1e6:.2f} MB in {len(form.files)} files, {form.precision}; compared by {form.runtime}",
            f"differs   logits by {form.logits_difference:.2g}, {maps}, as shares of the largest magnitude or of 1, on {form.compared} images",
            f"folder    {done.folder}",
            f"registry  {below}{'' if done.attached else ' (was there before)'}",
            f"next      {_next(done, where)}" + (" (in that folder)" if form.kind is FormKind.BUNDLE else ""),
        ]
    )
