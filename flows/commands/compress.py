"""The command that makes a registered student smaller and faster: compress."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import CommandGroup, claim_run, command, recipe_overrides, registry_uri, say, say_json
from flows.commands.hints import command_line
from flows.commands.options import DEMO_RUN, FlowOptions, Overrides, TrackingUri


@command(group=CommandGroup.REGISTRY)
def compress(
    recipe: Annotated[
        Path, typer.Argument(help="YAML file of a compression recipe, for example flows/recipes/compression/hippocampus.yaml.")
    ],
    run: Annotated[Path, typer.Option("--run", help="Run whose registry holds the student; cohorts and forms are kept there.")] = DEMO_RUN,
    out: Annotated[Path | None, typer.Option(help="Folder of the table and its picture; by default compression/NAME of the run.")] = None,
    overrides: Overrides = None,
    tracking_uri: TrackingUri = None,
    *,
    flow: FlowOptions,
) -> None:
    """Compress a registered student in several ways, and keep what is no slower, no worse and no blinder than its bounds allow."""
    from dataclasses import replace

    from flows.compress_recipe import read_plan
    from flows.start import start_engine
    from medkd.cohorts.prepare import data_folder
    from medkd.storage.output import claim_unmarked, require_source
    from medkd.storage.workspace import local_workspace

    wanted, data_root = recipe_overrides(overrides)
    plan = read_plan(recipe, wanted, run.resolve() if out is None else out.resolve(), named=out is not None)
    data = data_folder(plan.data.data, data_root)
    if data is not None:
        require_source(data)
    uri = registry_uri(run, tracking_uri)
    workspace = replace(local_workspace(claim_run(run), progress=True, data_root=data_root), tracking_uri=uri)
    claim_unmarked(plan.out, FILES)
    with start_engine(flow.engine.value, workspace.root, workers=0, progress=True):
        from flows.compress import compress as run_compress
        from flows.compress_text import compression_summary, compression_text

        result = run_compress(workspace, plan)
    where = ("--tracking-uri", tracking_uri) if tracking_uri else ("--run", run)
    if flow.as_json:
        say_json(compression_summary(result))
    else:
        say(compression_text(result))
        for model in result.versions:
            say(f"  next: {command_line('medkd', 'promote', model.uri, *where)}")
        say(f"\ntable     {plan.out / 'compression.md'}\npicture   {plan.out / 'pareto.png'}")


#: Names that a compression writes.
FILES = r"compression\.(json|md)|pareto\.png"
