"""The command that distils a student again with feedback: redistill."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import (
    DEFAULT_ENGINE,
    AsJson,
    CommandGroup,
    Engine,
    Overrides,
    RecipeFile,
    RunFolder,
    TrackedBy,
    app,
    open_run,
    say,
    say_json,
    write_json,
)


@app.command(rich_help_panel=CommandGroup.TRAINING)
def redistill(
    recipe: RecipeFile,
    feedback: Annotated[Path, typer.Option(help="Folder of the feedback log.")],
    reports: Annotated[Path | None, typer.Option(help="Folder below which the reports lie that readers saw; by default the run's.")] = None,
    arm: Annotated[str | None, typer.Option(help="Arm to distil again; by default the recipe's last.")] = None,
    strength: Annotated[float, typer.Option(min=0.001, help="Factor of the term that keeps maps off what readers forbade.")] = 1.0,
    eval_share: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of the patients whose feedback judges and never teaches.")
    ] = 0.25,
    out: RunFolder = None,
    overrides: Overrides = None,
    tracking_uri: TrackedBy = None,
    engine: Engine = DEFAULT_ENGINE,
    as_json: AsJson = False,
) -> None:
    """Distil a student again with what readers said of the last one; it is proposed only where it is no worse and looks where it should."""
    from dataclasses import replace

    from flows.plan import workers_for
    from flows.start import start_engine
    from medkd.feedback.next_student import require_arm
    from medkd.registry.server import require_server
    from medkd.storage.output import require_source

    if tracking_uri is not None:
        require_server(tracking_uri)
    wanted, workspace = open_run(recipe, out, overrides)
    workspace = workspace if tracking_uri is None else replace(workspace, tracking_uri=tracking_uri)
    for folder in (feedback, *(() if reports is None else (reports,))):
        require_source(folder)
    require_arm(wanted, arm)
    with start_engine(engine.value, workspace.root, workers=workers_for((wanted,)), progress=True):
        from flows.redistill import Readings, read_directives
        from flows.redistill import redistill as run_redistill
        from flows.redistill_text import redistill_summary, redistill_text

        # Before anything is trained: a log that teaches nothing costs nothing.
        directives = read_directives(wanted, Readings(feedback, reports or workspace.root, strength, eval_share))
        result = run_redistill(workspace, wanted, directives, arm)
    write_json(workspace.root / "redistill.json", redistill_summary(result))
    if as_json:
        say_json(redistill_summary(result))
    else:
        say(redistill_text(result))
