"""The command that says what a registered student lost against its teacher."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.common import CommandGroup, command, say, say_json
from flows.commands.options import AsJson, RegistryOptions


@command(group=CommandGroup.REGISTRY)
def loss(
    model: Annotated[str, typer.Argument(metavar="URI", help="Registered student, models:/NAME/VERSION.")],
    registry: RegistryOptions,
    as_json: AsJson = False,
) -> None:
    """Say what a registered student lost against its teacher: cases, small lesions, subgroups, calibration, shifted data, reasons, certainty."""
    uri = registry.uri()
    from flows.loss_text import loss_text
    from medkd.registry.load_version import load_loss_statement
    from medkd.registry.publish import open_registry
    from medkd.storage.workspace import Workspace

    statement = load_loss_statement(open_registry(Workspace(root=registry.run_folder.resolve(), tracking_uri=uri)), model)
    if as_json:
        say_json(statement.model_dump(mode="json"))
    else:
        say(loss_text(statement))
