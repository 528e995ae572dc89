"""Commands that explain and report: explain, explain-model, explain-study, inspect-model, replay, benchmark-explainers, report-store, run-study."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.commands.common import CommandGroup, claim_run, command, local_folder, parse_overrides, registry_uri, say, say_json
from flows.commands.hints import command_line
from flows.commands.learning import Last, learn_until
from flows.commands.options import DEMO_RUN, AsJson, FlowOptions, RecipeFile, RegisteredModel, RegistryOptions, RunOptions, StudyOptions

if TYPE_CHECKING:
    from data_contracts import Recipe
    from medkd.storage.workspace import Workspace


@command(group=CommandGroup.EXPLANATION)
def explain(recipe: RecipeFile, run: RunOptions, flow: FlowOptions) -> None:
    """Explain the students of a recipe's run on its test cases, beside their teacher."""
    learn_until(recipe, run, flow, Last.explain)


@command("explain-model", group=CommandGroup.EXPLANATION)
def explain_model_command(
    recipe: RecipeFile,
    model: RegisteredModel,
    explainers: Annotated[
        str | None,
        typer.Option(
            help="Names, with commas between (`medkd list explainers`); all: every one, by every measure; by default those of the recipe."
        ),
    ] = None,
    *,
    registry: RegistryOptions,
    run: RunOptions,
    flow: FlowOptions,
) -> None:
    """Explain a registered model on the test cases of a recipe's data: every measure with its interval over patients."""
    from medkd.training.recipes import vary_recipe, with_everything

    uri = registry.uri()
    wanted, workspace = run.open(recipe)
    if explainers == "all":
        wanted = with_everything(wanted)
    elif explainers is not None:
        wanted = vary_recipe(wanted, {"explain.explainers": [{"name": name.strip()} for name in explainers.split(",")]})
    _explain_model(wanted, workspace, model, uri, flow)


@dataclass(frozen=True)
class MapOptions:
    """Which maps of a study are made, of what, how, and in which time."""

    explainers: Annotated[
        str,
        typer.Option(
            help="Names, with commas between (`medkd list explainers`); without, those that pass their tests on the model's task."
        ),
    ] = ""
    lesion: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Explain this lesion (of a classifier: this answer) only; the first three without. What the teacher marks too comes first.",
        ),
    ] = None
    time_budget: Annotated[
        float | None, typer.Option(min=0.001, metavar="SECONDS", help="Time for all: explainers that refine make what fits and say so.")
    ] = None
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="EXPLAINER.OPTION=VALUE", help="Set an explainer's option; may be repeated.")
    ] = None


@command("explain-study", group=CommandGroup.EXPLANATION)
def explain_study_command(
    study: Annotated[Path, typer.Argument(help="DICOM of one study (folder or file).")],
    model: RegisteredModel,
    maps: MapOptions,
    choice: StudyOptions,
    registry: RegistryOptions,
    *,
    out: Annotated[Path | None, typer.Option(help="Folder of the artefact; by default runs/explanations/KEY-OF-THE-STUDY.")] = None,
    flow: FlowOptions,
) -> None:
    """Explain what a registered model finds or answers in one study, with tests of every map and a page, and register it beside the model."""
    uri = registry.uri()
    from flows.explanation_text import explanation_request, explanation_summary, explanation_text
    from medkd.dicom.confidentiality.secret import pseudonym, site_secret
    from medkd.dicom.study_folder import claim_study

    # A study's folder is often called after its patient.
    folder = (out or Path("runs/explanations") / pseudonym(site_secret(), "study", str(study.resolve()))).resolve()
    request = explanation_request(maps.explainers, parse_overrides(maps.options), lesion=maps.lesion, seconds=maps.time_budget)
    claim_study(study, folder)
    dicom_out = _claim_results(study, choice.dicom_out)
    from flows.policy import read_policy
    from flows.start import start_engine
    from medkd.storage.workspace import Workspace

    workspace = Workspace(root=folder, tracking_uri=uri, progress=True)
    followed = read_policy(choice.policy)
    with start_engine(flow.engine.value, workspace.root, workers=0, progress=True):
        from flows.ingested_study import StudyChoice
        from flows.run_study import run_study

        outcome = run_study(workspace, study, model, request, StudyChoice(choice.series, followed, dicom_out))
    summary = explanation_summary(outcome.explanation)
    summary["report"] = str(workspace.root / "report.html")
    if outcome.results is not None:
        summary["dicom"] = str(outcome.results)
    summary["replay"] = command_line("medkd", "replay", summary["explanation"][:12], "--in", workspace.root, *registry.arguments())
    if flow.as_json:
        say_json(summary)
    else:
        say(explanation_text(summary))


def _claim_results(source: Path, out: Path | None) -> Path | None:
    """Claim the folder of DICOM results before anything is computed, if they are wanted; its programs must be there."""
    if out is None:
        return None
    from medkd.results.readers import require_readers
    from medkd.storage.output import RESULTS, claim, require_apart

    require_readers()
    require_apart(source, out)
    return claim(out.resolve(), RESULTS)


def _explain_model(recipe: Recipe, workspace: Workspace, model: str, registry: str, flow: FlowOptions) -> None:
    """Explain a registered model on the test cases of a recipe's data."""
    from flows.explanation_text import bundle_table
    from flows.start import start_engine

    with start_engine(flow.engine.value, workspace.root, workers=0, progress=True):
        from flows.explain_model import explain_model

        bundle = explain_model(workspace, recipe, model, registry)
    if flow.as_json:
        say_json(
            {
                "subject": bundle.subject,
                "explanations": bundle.digest(),
                "figures": {name: figure.model_dump() for name, figure in bundle.figures.items()},
                "failed_explainers": list(bundle.failed_explainers),
            }
        )
    else:
        say(bundle_table(bundle))


@command("inspect-model", group=CommandGroup.EXPLANATION)
def inspect_model_command(
    recipe: RecipeFile,
    model: RegisteredModel,
    registry: RegistryOptions,
    run: RunOptions,
    flow: FlowOptions,
) -> None:
    """Look into a registered model beside its teacher: similarity of layers, feature visualisation of each class, the smallest change that flips an answer."""
    from flows.explanation_text import inspection_text
    from flows.start import start_engine

    uri = registry.uri()
    wanted, workspace = run.open(recipe)
    with start_engine(flow.engine.value, workspace.root, workers=0, progress=True):
        from flows.inspect_model import inspect_model

        found = inspect_model(workspace, wanted, model, uri)
    picture = workspace.store.path(found.picture)
    if flow.as_json:
        say_json({**found.model_dump(mode="json"), "ok": True, "inspection": found.digest(), "picture": str(picture)})
    else:
        say(inspection_text(found) + f"\npicture {picture}")


@command("replay", group=CommandGroup.EXPLANATION)
def replay_command(
    explanation: Annotated[str, typer.Argument(help="Content id of an explanation or of one of its maps; its beginning is enough.")],
    folder: Annotated[Path, typer.Option("--in", help="Folder that explanations are looked for in.")] = Path("runs/explanations"),
    store: Annotated[
        Path | None, typer.Option(help="Store of the explained volume, where it does not lie beside the explanation (report-store).")
    ] = None,
    *,
    registry: RegistryOptions,
    as_json: AsJson = False,
) -> None:
    """Make an explanation again from its study and models, and compare every bit."""
    from data_contracts import ExplanationError
    from flows.replay import replay
    from medkd.storage.workspace import Workspace

    workspace = Workspace(root=folder.resolve(), tracking_uri=registry.uri())
    place, same, differs = replay(workspace, folder.resolve(), explanation, store)
    if not same:
        # The record may differ where no map does.
        worst = max(differs, key=lambda name: differs[name]) if differs else "the record"
        raise ExplanationError(
            "REPLAY_DIFFERS",
            f"expected the bits of {place.name}, {len(differs)} maps differ, most of all {worst} by {differs.get(worst, 0.0):.2g} of its largest value",
        )
    if as_json:
        say_json({"ok": True, "explanation": place.name, "folder": str(place)})
    else:
        say(f"{place.name}: every bit is the same")


@command("benchmark-explainers", group=CommandGroup.EXPLANATION)
def benchmark_explainers_command(
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/planted-truth"),
    cases: Annotated[int, typer.Option(min=2, help="Volumes that are explained.")] = 40,
    seed: Annotated[int, typer.Option(help="Of cohorts and networks.")] = 0,
    *,
    flow: FlowOptions,
) -> None:
    """Ask whether explainers find what a network really uses: volumes with a planted lesion and marker, and networks that use either or both."""
    from flows.start import start_engine
    from medkd.experiment.write_explainer_benchmark import planted_truth_markdown
    from medkd.storage.workspace import local_workspace

    workspace = local_workspace(claim_run(out), progress=True)
    with start_engine(flow.engine.value, workspace.root, workers=0, progress=True):
        from flows.explainer_benchmark import explainer_benchmark

        truth = explainer_benchmark(workspace, cases, seed)
    if flow.as_json:
        say_json({**truth.model_dump(mode="json"), "folder": str(workspace.root)})
    else:
        say(planted_truth_markdown(truth) + f"\ntable and picture in {workspace.root}")


@command("report-store", group=CommandGroup.REVIEW)
def report_store_command(
    place: Annotated[str, typer.Argument(metavar="STORE", help="Store written by `medkd ingest`: a folder, or its URI.")],
    run_folder: Annotated[Path, typer.Option("--run", help="Run whose models are asked.")] = DEMO_RUN,
    model: Annotated[
        str | None,
        typer.Option(
            help="Registered model, models:/NAME/VERSION or models:/NAME@ALIAS; by default the run's panel, or its only segmentation student."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write the pages to; by default they stay in the run.")] = None,
    *,
    flow: FlowOptions,
) -> None:
    """Write a review report for every series of a store, and an index of them. What the models cannot read is listed with its reason."""
    from data_contracts import DataError
    from flows.start import start_engine
    from medkd.storage.output import REPORTS, refuse_foreign, require_apart, require_source
    from medkd.storage.workspace import Workspace

    registry = registry_uri(run_folder, None)
    store = local_folder(place)
    require_source(store)
    if out is not None:
        require_apart(store, out)
        refuse_foreign(out.resolve(), REPORTS)
    workspace = Workspace(root=run_folder.resolve(), tracking_uri=registry, progress=True)
    with start_engine(flow.engine.value, workspace.root, progress=True):
        from flows.report_store import report_store

        written = report_store(workspace, store, model, None if out is None else out.resolve())
    if flow.as_json:
        refused = [{"series": one.series_key, "code": one.code, "reason": one.reason} for one in written.refused]
        say_json({"reports": [str(page) for page in written.pages], "refused": refused, "index": str(written.index)})
    else:
        lines = [*map(str, written.pages), *(f"refused  {one.series_key}: {one.code}: {one.reason}" for one in written.refused)]
        say("\n".join([*lines, f"index    {written.index}"]))
    if not written.pages:
        raise DataError("NO_REPORT", f"expected a series that the models can read, got {len(written.refused)} refused; see {written.index}")


class RuntimeName(StrEnum):
    """What answers a study."""

    torch = "torch"
    onnx = "onnx"
    openvino = "openvino"


@dataclass(frozen=True)
class NewStudyOptions(StudyOptions):
    """As those of a study, which the help of this command calls the source."""

    series: Annotated[str | None, typer.Option(help="Key of the series, where the source holds several.")] = None


@dataclass(frozen=True)
class AnswerOptions:
    """What answers about a study, and how long it may take for maps."""

    runtime: Annotated[
        RuntimeName,
        typer.Option(help="What answers: torch with all explainers, or onnx or openvino, without torch, with closed-form maps."),
    ] = RuntimeName.torch
    explain_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.001, metavar="SECONDS", help="Time for the maps: closed-form ones first; what does not fit is left out and named."
        ),
    ] = None


@command("run-study", group=CommandGroup.REVIEW)
def run_study_command(
    source: Annotated[Path, typer.Argument(help="DICOM of one study (folder or file).")],
    model: RegisteredModel,
    out: Annotated[Path, typer.Option(help="Folder to write report and segmentation to.")],
    registry: RegistryOptions,
    choice: NewStudyOptions,
    answer: AnswerOptions,
    flow: FlowOptions,
) -> None:
    """Verify one new study, ask a registered model about it, explain and report what it finds or answers. No finding is an answer."""
    from medkd.dicom.study_folder import claim_study

    started, out = time.perf_counter(), out.resolve()
    uri = registry.uri()
    claim_study(source, out)
    dicom_out = _claim_results(source, choice.dicom_out)
    from flows.policy import read_policy
    from flows.start import start_engine
    from flows.study_text import findings_summary, findings_text
    from medkd.explanation.defaults import first_findings, within_seconds
    from medkd.storage.workspace import Workspace

    workspace, request = Workspace(root=out, tracking_uri=uri, progress=True), within_seconds(first_findings(), answer.explain_seconds)
    followed = read_policy(choice.policy)
    with start_engine(flow.engine.value, out, workers=0, progress=True):
        from flows.ingested_study import StudyChoice

        chosen = StudyChoice(choice.series, followed, dicom_out)
        if answer.runtime is RuntimeName.torch:
            from flows.run_study import run_study

            outcome = run_study(workspace, source, model, request, chosen)
        else:
            from flows.run_served_study import run_served_study

            by: Literal["onnx", "openvino"] = "onnx" if answer.runtime is RuntimeName.onnx else "openvino"
            outcome = run_served_study(workspace, source, model, request, by, chosen)
    report, segmentation = outcome.report, out / "segmentation.nii.gz"
    seconds = round(time.perf_counter() - started, 1)
    places = {"report": out / "report.html", "explanation": outcome.explanation}
    places |= {"segmentation": segmentation} if segmentation.is_file() else {}
    places |= {"dicom": outcome.results} if outcome.results is not None else {}
    if flow.as_json:
        payload = {"ok": True, "seconds": seconds, **findings_summary(report), **{name: str(path) for name, path in places.items()}}
        say_json({**payload, "report_digest": report.digest(), **outcome.ingested.summary()})
        return
    say(findings_text(report))
    say("\n".join(f"{name.ljust(14)}{path}" for name, path in places.items()) + f"\n{seconds:.0f} s")
