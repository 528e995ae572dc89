"""The command that says what a registered student lost against its teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import AsJson, CommandGroup, RunOfModels, TrackingUri, app, registry_uri, say, say_json


@app.command(rich_help_panel=CommandGroup.REGISTRY)
def loss(
    model: Annotated[str, typer.Argument(metavar="URI", help="Registered student, models:/NAME/VERSION.")],
    run_folder: RunOfModels = Path("runs/demo"),
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Say what a registered student lost against its teacher: cases, small lesions, subgroups, calibration, shifted data, reasons, certainty."""
    uri = registry_uri(run_folder, tracking_uri)
    from flows.loss_text import loss_text
    from medkd.registry.load_version import load_loss_statement
    from medkd.registry.publish import open_registry
    from medkd.storage.workspace import Workspace

    statement = load_loss_statement(open_registry(Workspace(root=run_folder.resolve(), tracking_uri=uri)), model)
    if as_json:
        say_json(statement.model_dump(mode="json"))
    else:
        say(loss_text(statement))
