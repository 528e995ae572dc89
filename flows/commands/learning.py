"""Commands that train and score: demo, run, extract-knowledge, distill, experiment, evaluate, evaluate-folder."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from flows.commands.common import CommandGroup, claim_run, command, say, say_json, say_where, write_json
from flows.commands.options import (
    DEMO_RUN,
    ClusterOptions,
    FlowOptions,
    FolderOptions,
    RecipeFile,
    RegisteredModel,
    RegistryOptions,
    RunOptions,
    TaskRunner,
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


@command(group=CommandGroup.TRAINING)
def demo(
    size: Annotated[
        DemoSize, typer.Option(help="full: the measured comparison; smoke: everything runs, nothing is learnt.")
    ] = DemoSize.full,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = DEMO_RUN,
    *,
    cluster: ClusterOptions,
    flow: FlowOptions,
) -> None:
    """Run the whole way on invented studies: DICOM, teacher, students, explanations, registry, reports."""
    from flows.start import start_engine

    started = time.perf_counter()
    cluster.connect()
    claim_run(out)
    # The patients are invented, so their pseudonyms may be made with a secret that everybody knows.
    os.environ["MEDKD_SECRET"] = "demo"
    with start_engine(flow.engine.value, out.resolve(), progress=True, task_runner=cluster.task_runner):
        from flows.demo import run_demo
        from flows.summary import run_tables

        result, summary = run_demo(
            out.resolve(), size=size.value, engine=flow.engine.value, progress=True, started=started, tracking_uri=cluster.tracking_uri
        )
    if flow.as_json:
        say_json(summary)
        return
    say(run_tables(result))
    say_where(summary, out)


@command("run", group=CommandGroup.TRAINING)
def run_command(
    recipe: RecipeFile,
    run: RunOptions,
    *,
    candidate: Annotated[
        bool, typer.Option("--candidate", help="Let the alias candidate stand at the best student; no run can set the champion.")
    ] = False,
    cluster: ClusterOptions,
    flow: FlowOptions,
) -> None:
    """Run a recipe: teacher, gate, students of every arm and seed, scorecards, explanations, registry."""
    cluster.connect()
    learn_until(recipe, run, flow, Last.register, cluster, candidate=candidate)


@command("extract-knowledge", group=CommandGroup.TRAINING)
def extract_knowledge(recipe: RecipeFile, run: RunOptions, flow: FlowOptions) -> None:
    """Train a recipe's teachers, store what each that an arm asks knows about every case that students learn from, and register all."""
    from flows.plan import workers_for
    from flows.start import start_engine
    from flows.summary import knowledge_summary, knowledge_text

    wanted, workspace = run.open(recipe)
    with start_engine(flow.engine.value, workspace.root, workers=workers_for((wanted,)), progress=True):
        from flows.extract_knowledge import extract_and_register

        stored = extract_and_register(workspace, wanted)
    first, *further = (knowledge_summary(model, knowledge) for model, knowledge in stored)
    if flow.as_json:
        say_json({**first, **({"further": further} if further else {})})
    else:
        say("\n\n".join(knowledge_text(one) for one in (first, *further)))


@command(group=CommandGroup.TRAINING)
def distill(
    recipe: RecipeFile,
    knowledge: Annotated[
        list[str],
        typer.Option(help="Registered knowledge, models:/NAME-knowledge/VERSION or @ALIAS; once for each teacher that the arms ask."),
    ],
    registry: RegistryOptions,
    run: RunOptions,
    flow: FlowOptions,
) -> None:
    """Train and score a recipe's students from registered knowledge, without the teacher's weights."""
    from dataclasses import replace

    from flows.plan import workers_for
    from flows.start import start_engine
    from flows.summary import students_summary, students_text

    uri = registry.uri()
    wanted, workspace = run.open(recipe)
    workspace = replace(workspace, tracking_uri=uri)
    with start_engine(flow.engine.value, workspace.root, workers=workers_for((wanted,)), progress=True):
        from flows.distill_from_store import distill_from_store

        registered, cards = distill_from_store(workspace, wanted, knowledge)
    summary = students_summary(registered, cards)
    if flow.as_json:
        say_json({"knowledge": knowledge[0] if len(knowledge) == 1 else knowledge, **summary})
    else:
        say(students_text(summary))


@command(group=CommandGroup.TRAINING)
def experiment(
    recipe: RecipeFile,
    run: RunOptions,
    *,
    task_runner: TaskRunner = None,
    flow: FlowOptions,
) -> None:
    """Compare the arms of a recipe as its plan says: search, controls, plateaus, conditions, harm; ends in a scoreboard."""
    from flows.start import start_engine

    started = time.perf_counter()
    wanted, workspace = run.open(recipe, runs=Path("runs/experiments"))
    with start_engine(flow.engine.value, workspace.root, progress=True, task_runner=task_runner):
        from flows.experiment import experiment as run_experiment
        from medkd.experiment.write_scoreboard import scoreboard_text

        board = run_experiment(workspace, wanted)
    seconds = time.perf_counter() - started
    if flow.as_json:
        say_json(
            {
                **board.model_dump(mode="json", include={"name", "arms", "comparisons", "harmful", "searched", "null_flags"}),
                "seconds": round(seconds, 1),
            }
        )
    else:
        say(scoreboard_text(board) + f"\n\nscoreboard, tables and figure in {workspace.root} ({seconds:.0f} s)")


@command(group=CommandGroup.TRAINING)
def evaluate(recipe: RecipeFile, run: RunOptions, flow: FlowOptions) -> None:
    """Train and score a recipe's teacher and students, and print their scorecards; what a run of it has already is taken from there."""
    learn_until(recipe, run, flow, Last.evaluate)


@dataclass(frozen=True)
class EvaluatedFolderOptions(FolderOptions):
    """How a labelled folder is read, with more said of patients: intervals are over them."""

    patient_pattern: Annotated[
        str | None,
        typer.Option(
            help="Without cases.csv: odd-even (files 2k-1 and 2k are one patient), or a regular expression whose group is the patient."
        ),
    ] = None


@command("evaluate-folder", group=CommandGroup.REGISTRY)
def evaluate_folder_command(
    data: Annotated[
        Path, typer.Argument(help="Folder with cases.csv or dataset.json, or of DICOM with its labels, as in docs/tutorial.md.")
    ],
    model: RegisteredModel,
    teacher: Annotated[str | None, typer.Option(help="Registered teacher to compare with.")] = None,
    *,
    cases: EvaluatedFolderOptions,
    registry: RegistryOptions,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; by default runs/evaluations/MODEL-VERSION-FOLDER.")] = None,
    flow: FlowOptions,
) -> None:
    """Score a registered model on a folder it has never seen: figures with intervals over patients, subgroups, a row per case."""
    uri, hints = registry.uri(), cases.hints()
    folder = (out or Path("runs/evaluations") / f"{model.removeprefix('models:/').replace('/', '-')}-{data.resolve().name}").resolve()
    claim_run(folder, data)
    from flows.start import start_engine
    from flows.summary import folder_json, folder_tables
    from medkd.storage.workspace import Workspace

    with start_engine(flow.engine.value, folder, workers=0, progress=True):
        from flows.evaluate_folder import evaluate_folder

        evaluation = evaluate_folder(Workspace(root=folder, tracking_uri=uri, progress=True), data.resolve(), hints, model, teacher)
    if flow.as_json:
        say_json(folder_json(evaluation))
    else:
        say(folder_tables(evaluation) + f"\n\nrows and picture in {folder}")


def learn_until(
    recipe_file: Path,
    run: RunOptions,
    flow: FlowOptions,
    last: Last,
    cluster: ClusterOptions = ClusterOptions(),
    *,
    candidate: bool = False,
) -> None:
    """Take a recipe as far as ``last`` and say what came of it; ``candidate`` marks its best student."""
    from dataclasses import replace

    from flows.plan import workers_for
    from flows.start import start_engine
    from flows.summary import run_summary

    started = time.perf_counter()
    recipe, workspace = run.open(recipe_file)
    workspace = workspace if cluster.tracking_uri is None else replace(workspace, tracking_uri=cluster.tracking_uri)
    folder, engine = run.out or Path("runs") / recipe.name, flow.engine.value
    with start_engine(engine, workspace.root, workers=workers_for((recipe,)), progress=True, task_runner=cluster.task_runner):
        from flows.pipeline import PipelineResult, learn, pipeline

        result = (
            pipeline(workspace, (recipe,), candidate=candidate)
            if last is Last.register
            else PipelineResult(learn(workspace, (recipe,), until=cast(Any, last.value)))
        )
    summary = run_summary(result, workspace, engine=engine, seconds=time.perf_counter() - started, project=Path.cwd())
    summary["maps"] = _maps(result)
    write_json(workspace.root / "summary.json", summary)
    _tell(recipe, result, summary, folder, flow.as_json)


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
