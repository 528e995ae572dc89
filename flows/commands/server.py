"""The commands of the MLflow server; the package of that name stands alone and has them."""

from __future__ import annotations

from flows.commands.common import CommandGroup, app
from mlflow_server.cli import app as server_app

app.add_typer(server_app, name="server", rich_help_panel=CommandGroup.REGISTRY)
