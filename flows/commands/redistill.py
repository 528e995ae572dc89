"""The command that distils a student again with feedback: redistill."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import CommandGroup, command, say, say_json, write_json
from flows.commands.options import FlowOptions, RecipeFile, RunOptions, TrackedBy


@dataclass(frozen=True)
class FeedbackOptions:
    """What readers said, and which arm learns from it how much."""

    feedback: Annotated[Path, typer.Option(help="Folder of the feedback log.")]
    reports: Annotated[Path | None, typer.Option(help="Folder below which the reports lie that readers saw; by default the run's.")] = None
    arm: Annotated[str | None, typer.Option(help="Arm to distil again; by default the recipe's last.")] = None
    strength: Annotated[float, typer.Option(min=0.001, help="Factor of the term that keeps maps off what readers forbade.")] = 1.0
    eval_share: Annotated[
        float,
        typer.Option(min=0.0, max=0.9, help="Share of the patients whose feedback judges and never teaches."),
    ] = 0.25


@command(group=CommandGroup.TRAINING)
def redistill(
    recipe: RecipeFile,
    said: FeedbackOptions,
    run: RunOptions,
    *,
    tracking_uri: TrackedBy = None,
    flow: FlowOptions,
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
    wanted, workspace = run.open(recipe)
    workspace = workspace if tracking_uri is None else replace(workspace, tracking_uri=tracking_uri)
    for folder in (said.feedback, *(() if said.reports is None else (said.reports,))):
        require_source(folder)
    require_arm(wanted, said.arm)
    with start_engine(flow.engine.value, workspace.root, workers=workers_for((wanted,)), progress=True):
        from flows.redistill import Readings, read_directives
        from flows.redistill import redistill as run_redistill
        from flows.redistill_text import redistill_summary, redistill_text

        # Before anything is trained: a log that teaches nothing costs nothing.
        readings = Readings(said.feedback, said.reports or workspace.root, said.strength, said.eval_share)
        directives = read_directives(wanted, readings)
        result = run_redistill(workspace, wanted, directives, said.arm)
    write_json(workspace.root / "redistill.json", redistill_summary(result))
    if flow.as_json:
        say_json(redistill_summary(result))
    else:
        say(redistill_text(result))
