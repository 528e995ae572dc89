"""The command that says what a recipe will need before it runs: plan."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.common import CommandGroup, command, recipe_overrides, say, say_json
from flows.commands.options import AsJson, Overrides, RecipeFile


@command(group=CommandGroup.TRAINING)
def plan(
    recipe: RecipeFile,
    out: Annotated[Path | None, typer.Option(help="Folder that the run would get; its disk is looked at. By default runs/NAME.")] = None,
    overrides: Overrides = None,
    seconds: Annotated[
        float, typer.Option(min=1, max=600, help="Longest time for the probe; a step that takes longer is still made.")
    ] = 20.0,
    as_json: AsJson = False,
) -> None:
    """Say what memory, time and disk a recipe will need: a few of its own training steps on invented data, extrapolated."""
    from flows.plan import expected_seconds, workers_for
    from flows.plan_text import plan_text
    from flows.start import worker_count
    from medkd.planning.count_cases import count_cases
    from medkd.planning.free_disk import free_disk
    from medkd.planning.probe_recipe import ProbeRequest, probe_recipe
    from medkd.progress import ProgressBar, progress_bar
    from medkd.training.recipes import read_recipe

    began = time.monotonic()
    wanted, root = recipe_overrides(overrides)
    read = read_recipe(recipe, wanted)
    workers = worker_count() if workers_for((read,)) is None else 0
    counts = count_cases(read, root)
    request = ProbeRequest(
        recipe=read.canonical_json().decode(),
        teacher_cases=counts.teacher,
        student_cases=counts.students,
        seconds=max(0.5, seconds - (time.monotonic() - began)),
        threads=1 if workers > 1 else None,
    )
    bar: ProgressBar[str]
    with progress_bar(title="probe", unit="part", enabled=not as_json, total=2 + len(read.arms)) as bar:
        found = probe_recipe(request, after=lambda _name: bar.update())
    from medkd.planning.run_plan import PlanInputs, plan_run  # torch: imported while nobody waits for the probe's own import

    given = PlanInputs(read, counts, found, workers, expected_seconds((read,), reports=False), root)
    made = plan_run(given, free_disk=free_disk(out or Path("runs") / read.name), probe_seconds=time.monotonic() - began)
    if as_json:
        say_json(made.model_dump(mode="json"))
    else:
        say(plan_text(made))
