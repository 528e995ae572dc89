"""The command that trains and scores a recipe once per fold: cross-validate."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.common import CommandGroup, command, say, say_json
from flows.commands.options import FlowOptions, RecipeFile, RunOptions


@command("cross-validate", group=CommandGroup.TRAINING)
def cross_validate(
    recipe: RecipeFile,
    folds: Annotated[int, typer.Option(min=2, max=20, help="How many; a column of folds in the table must agree.")] = 5,
    hold_out: Annotated[
        bool,
        typer.Option("--hold-out", help="Leave the recipe's validation part out of all folds, and ask all teachers together about it."),
    ] = False,
    *,
    run: RunOptions,
    flow: FlowOptions,
) -> None:
    """Train teacher and students once per fold, patients kept together, and pool what each answers about patients that it never saw."""
    from pathlib import Path

    from flows.plan import workers_for
    from flows.start import start_engine

    given, workspace = run.open(recipe, runs=Path("runs/folds"))
    from medkd.experiment.fold_recipes import fold_recipes

    each = fold_recipes(given, folds, workspace.data_root, hold_out=hold_out)
    with start_engine(flow.engine.value, workspace.root, workers=workers_for(each), progress=True):
        from flows.cross_validate import FoldPlan
        from flows.cross_validate import cross_validate as run_folds
        from flows.cross_validate_text import cross_validation_text

        found = run_folds(workspace, FoldPlan(given, each, hold_out))
    if flow.as_json:
        say_json(found.model_dump(mode="json"))
    else:
        say(cross_validation_text(found) + f"\n\nrecord and table in {workspace.root}")
