"""The command that checks a loss."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import CommandGroup, command, say, say_json
from flows.commands.options import AsJson


@command("check-loss", group=CommandGroup.TRAINING)
def check_loss_command(
    loss: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME", help="Python file with a loss (its code is run, with your rights), or a loss of the catalogue."
        ),
    ],
    function: Annotated[
        str | None, typer.Option(help="Callable in the file; by default loss, or the one that is called as the file is.")
    ] = None,
    time_limit: Annotated[float, typer.Option(min=1, max=86400, help="Seconds after which a file's code is ended.")] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Show on small networks which laws a loss keeps: gradient, teacher, value, controls; exit status 1 where one is broken."""
    from flows.check_loss_text import check_loss_text
    from medkd.loss_check.check_loss import check_loss
    from medkd.loss_check.in_process import check_file
    from medkd.loss_check.read_loss import catalogue_loss

    path = Path(loss)
    # A name has neither an ending nor a folder: whatever else is asked for is a file, there or not.
    if path.suffix or len(path.parts) != 1 or path.exists():
        report = check_file(path, function, seconds=time_limit)
    else:
        report = check_loss(catalogue_loss(loss))
    if as_json:
        say_json({"ok": not report.broken(), **report.model_dump(mode="json")})
    else:
        say(check_loss_text(report))
    if report.broken():
        raise typer.Exit(1)
