"""Commands that train and score: demo, run, extract-knowledge, distill, experiment, evaluate, evaluate-folder."""

from __future__ import annotations

import os
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from flows.commands.common import (
    DEFAULT_ENGINE,
    AsJson,
    ColumnNames,
    CommandGroup,
    Engine,
    EngineName,
    Overrides,
    RecipeFile,
    RegisteredModel,
    RunFolder,
    RunOfModels,
    Segment,
    SharedStore,
    TaskRunner,
    TrackedBy,
    TrackingUri,
    Where,
    app,
    claim_run,
    column_names,
    open_run,
    pairs,
    registry_uri,
    say,
    say_json,
    say_where,
    use_store,
    write_json,
)

if TYPE_CHECKING:
    from data_contracts import Recipe
    from flows.pipeline import PipelineResult


class DemoSize(StrEnum):
    full = "full"
    smoke = "smoke"


class Last(StrEnum):
    evaluate = "evaluate"
    explain = "explain"
    register = "register"


@app.command(rich_help_panel=CommandGroup.TRAINING)
def demo(
    size: Annotated[
        DemoSize, typer.Option(help="full: the measured comparison; smoke: everything runs, nothing is learnt.")
    ] = DemoSize.full,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/demo"),
    engine: Engine = DEFAULT_ENGINE,
    task_runner: TaskRunner = None,
    tracking_uri: TrackedBy = None,
    store: SharedStore = None,
    as_json: AsJson = False,
) -> None:
    """Run the whole way on invented studies: DICOM, teacher, students, explanations, registry, reports."""
    from flows.start import start_engine

    started = time.perf_counter()
    _require_tracking(tracking_uri)
    use_store(store)
    claim_run(out)
    # The patients are invented, so their pseudonyms may be made with a secret that everybody knows.
    os.environ["MEDKD_SECRET"] = "demo"
    with start_engine(engine.value, out.resolve(), progress=True, task_runner=task_runner):
        from flows.demo import run_demo
        from flows.summary import run_tables

        result, summary = run_demo(
            out.resolve(), size=size.value, engine=engine.value, progress=True, started=started, tracking_uri=tracking_uri
        )
    if as_json:
        say_json(summary)
        return
    say(run_tables(result))
    say_where(summary, out)


@app.command(rich_help_panel=CommandGroup.TRAINING)
def run(
    recipe: RecipeFile,
    out: RunFolder = None,
    overrides: Overrides = None,
    tracking_uri: TrackedBy = None,
    candidate: Annotated[
        bool, typer.Option("--candidate", help="Let the alias candidate stand at the best student; no run can set the champion.")
    ] = False,
    engine: Engine = DEFAULT_ENGINE,
    task_runner: TaskRunner = None,
    store: SharedStore = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe: teacher, gate, students of every arm and seed, scorecards, explanations, registry."""
    _require_tracking(tracking_uri)
    use_store(store)
    learn_until(recipe, out, overrides, engine, Last.register, as_json, tracking_uri, candidate=candidate, task_runner=task_runner)


def _require_tracking(uri: str | None) -> None:
    if uri is not None:
        from medkd.registry.server import require_server

        require_server(uri)


@app.command("extract-knowledge", rich_help_panel=CommandGroup.TRAINING)
def extract_knowledge(
    recipe: RecipeFile, out: RunFolder = None, overrides: Overrides = None, engine: Engine = DEFAULT_ENGINE, as_json: AsJson = False
) -> None:
    """Train a recipe's teachers, store what each that an arm asks knows about every case that students learn from, and register all."""
    from flows.plan import workers_for
    from flows.start import start_engine
    from flows.summary import knowledge_summary, knowledge_text

    wanted, workspace = open_run(recipe, out, overrides)
    with start_engine(engine.value, workspace.root, workers=workers_for((wanted,)), progress=True):
        from flows.extract_knowledge import extract_and_register

        stored = extract_and_register(workspace, wanted)
    first, *further = (knowledge_summary(model, knowledge) for model, knowledge in stored)
    if as_json:
        say_json({**first, **({"further": further} if further else {})})
    else:
        say("\n\n".join(knowledge_text(one) for one in (first, *further)))


@app.command(rich_help_panel=CommandGroup.TRAINING)
def distill(
    recipe: RecipeFile,
    knowledge: Annotated[
        list[str],
        typer.Option(help="Registered knowledge, models:/NAME-knowledge/VERSION or @ALIAS; once for each teacher that the arms ask."),
    ],
    run_folder: RunOfModels = Path("runs/demo"),
    tracking_uri: TrackingUri = None,
    out: RunFolder = None,
    overrides: Overrides = None,
    engine: Engine = DEFAULT_ENGINE,
    as_json: AsJson = False,
) -> None:
    """Train and score a recipe's students from registered knowledge, without the teacher's weights."""
    from dataclasses import replace

    from flows.plan import workers_for
    from flows.start import start_engine
    from flows.summary import students_summary, students_text

    uri = registry_uri(run_folder, tracking_uri)
    wanted, workspace = open_run(recipe, out, overrides)
    workspace = replace(workspace, tracking_uri=uri)
    with start_engine(engine.value, workspace.root, workers=workers_for((wanted,)), progress=True):
        from flows.distill_from_store import distill_from_store

        registered, cards = distill_from_store(workspace, wanted, knowledge)
    summary = students_summary(registered, cards)
    if as_json:
        say_json({"knowledge": knowledge[0] if len(knowledge) == 1 else knowledge, **summary})
    else:
        say(students_text(summary))


@app.command(rich_help_panel=CommandGroup.TRAINING)
def experiment(
    recipe: RecipeFile,
    out: RunFolder = None,
    overrides: Overrides = None,
    engine: Engine = DEFAULT_ENGINE,
    task_runner: TaskRunner = None,
    as_json: AsJson = False,
) -> None:
    """Compare the arms of a recipe as its plan says: search, controls, plateaus, conditions, harm; ends in a scoreboard."""
    from flows.start import start_engine

    started = time.perf_counter()
    wanted, workspace = open_run(recipe, out, overrides, runs=Path("runs/experiments"))
    with start_engine(engine.value, workspace.root, progress=True, task_runner=task_runner):
        from flows.experiment import experiment as run_experiment
        from medkd.experiment.write_scoreboard import scoreboard_text

        board = run_experiment(workspace, wanted)
    seconds = time.perf_counter() - started
    if as_json:
        say_json(
            {
                **board.model_dump(mode="json", include={"name", "arms", "comparisons", "harmful", "searched", "null_flags"}),
                "seconds": round(seconds, 1),
            }
        )
    else:
        say(scoreboard_text(board) + f"\n\nscoreboard, tables and figure in {workspace.root} ({seconds:.0f} s)")


@app.command(rich_help_panel=CommandGroup.TRAINING)
def evaluate(
    recipe: RecipeFile, out: RunFolder = None, overrides: Overrides = None, engine: Engine = DEFAULT_ENGINE, as_json: AsJson = False
) -> None:
    """Train and score a recipe's teacher and students, and print their scorecards; what a run of it has already is taken from there."""
    learn_until(recipe, out, overrides, engine, Last.evaluate, as_json)


@app.command("evaluate-folder", rich_help_panel=CommandGroup.REGISTRY)
def evaluate_folder_command(
    data: Annotated[
        Path, typer.Argument(help="Folder with cases.csv or dataset.json, or of DICOM with its labels, as in docs/tutorial.md.")
    ],
    model: RegisteredModel,
    teacher: Annotated[str | None, typer.Option(help="Registered teacher to compare with.")] = None,
    where: Where = None,
    segment: Segment = None,
    column: ColumnNames = None,
    patient_pattern: Annotated[
        str | None,
        typer.Option(
            help="Without cases.csv: odd-even (files 2k-1 and 2k are one patient), or a regular expression whose group is the patient."
        ),
    ] = None,
    run_folder: RunOfModels = Path("runs/demo"),
    tracking_uri: TrackingUri = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; by default runs/evaluations/MODEL-VERSION-FOLDER.")] = None,
    engine: Engine = DEFAULT_ENGINE,
    as_json: AsJson = False,
) -> None:
    """Score a registered model on a folder it has never seen: figures with intervals over patients, subgroups, a row per case."""
    uri = registry_uri(run_folder, tracking_uri)
    named, options = column_names(column), pairs(where, "--where COLUMN=VALUE")
    folder = (out or Path("runs/evaluations") / f"{model.removeprefix('models:/').replace('/', '-')}-{data.resolve().name}").resolve()
    claim_run(folder, data)
    from flows.start import start_engine
    from flows.summary import folder_json, folder_tables
    from medkd.cohorts.external_dataset import FolderHints
    from medkd.storage.workspace import Workspace

    hints = FolderHints(
        named.get("id"), named.get("patient"), named.get("label"), patient_pattern, options, pairs(segment, "--segment NAME=CLASS")
    )
    with start_engine(engine.value, folder, workers=0, progress=True):
        from flows.evaluate_folder import evaluate_folder

        evaluation = evaluate_folder(Workspace(root=folder, tracking_uri=uri, progress=True), data.resolve(), hints, model, teacher)
    if as_json:
        say_json(folder_json(evaluation))
    else:
        say(folder_tables(evaluation) + f"\n\nrows and picture in {folder}")


def learn_until(
    recipe_file: Path,
    out: Path | None,
    overrides: list[str] | None,
    engine: EngineName,
    last: Last,
    as_json: bool,
    tracking_uri: str | None = None,
    *,
    candidate: bool = False,
    task_runner: str | None = None,
) -> None:
    """Take a recipe as far as ``last`` and say what came of it; ``candidate`` marks its best student."""
    from dataclasses import replace

    from flows.plan import workers_for
    from flows.start import start_engine
    from flows.summary import run_summary

    started = time.perf_counter()
    recipe, workspace = open_run(recipe_file, out, overrides)
    workspace = workspace if tracking_uri is None else replace(workspace, tracking_uri=tracking_uri)
    folder = out or Path("runs") / recipe.name
    with start_engine(engine.value, workspace.root, workers=workers_for((recipe,)), progress=True, task_runner=task_runner):
        from flows.pipeline import PipelineResult, learn, pipeline

        result = (
            pipeline(workspace, (recipe,), candidate=candidate)
            if last is Last.register
            else PipelineResult(learn(workspace, (recipe,), until=cast(Any, last.value)))
        )
    summary = run_summary(result, workspace, engine=engine.value, seconds=time.perf_counter() - started, project=Path.cwd())
    summary["maps"] = _maps(result)
    write_json(workspace.root / "summary.json", summary)
    _tell(recipe, result, summary, folder, as_json)


def _tell(recipe: Recipe, result: PipelineResult, summary: dict[str, Any], folder: Path, as_json: bool) -> None:
    from flows.explanation_text import bundle_table
    from flows.summary import run_tables

    if as_json:
        say_json({"recipe": recipe.name, **summary})
        return
    say(run_tables(result))
    for one in result.recipes:
        for bundle in one.bundles:
            say("\n" + bundle_table(bundle))
    say_where(summary, folder)


def _maps(result: PipelineResult) -> dict[str, dict[str, Any]]:
    return {b.subject: {name: figure.model_dump() for name, figure in b.figures.items()} for one in result.recipes for b in one.bundles}
