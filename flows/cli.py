"""The command line. Heavy libraries are imported by the command that needs them: ``--help`` answers at once."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_contracts.errors import IngestCode, MedkdError, RecipeError
from flows.environment import end_quickly

if TYPE_CHECKING:
    from data_contracts import ExplanationRequest, Recipe
    from flows.pipeline import PipelineResult
    from medkd.workspace import Workspace

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class EngineName(StrEnum):
    prefect = "prefect"
    none = "none"


class DemoSize(StrEnum):
    full = "full"
    smoke = "smoke"


class Kind(StrEnum):
    losses = "losses"
    explainers = "explainers"
    measures = "measures"
    networks = "networks"


class Last(StrEnum):
    evaluate = "evaluate"
    explain = "explain"
    register = "register"


#: Quick ones of three kinds: class maps of two, a gradient of the image, and what hiding does.
DEFAULT_EXPLAINERS = "grad_cam,hires_cam,saliency,integrated_gradients,occlusion"
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON instead of text.")]
Engine = Annotated[EngineName, typer.Option(help="Who drives: the embedded Prefect, or nobody (the same functions).")]
Policy = Annotated[
    str | None, typer.Option(help="reject, repair or accept_with_flag for all codes that allow it, or a YAML file per code.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Override a recipe field, dotted; may be repeated.")
]
RecipeFile = Annotated[Path, typer.Argument(help="YAML file of a recipe, for example flows/recipes/busbra.yaml.")]
RunOfModels = Annotated[Path, typer.Option("--run", help="Run whose registry holds it.")]
TrackingUri = Annotated[str | None, typer.Option(help="MLflow tracking URI of the registry, instead of a run's own.")]
RunFolder = Annotated[Path | None, typer.Option("--out", help="Folder of the run; by default runs/RECIPE-NAME.")]


@app.callback()
def root() -> None:
    """medkd: distil and explain medical imaging models. Research use only."""


@app.command()
def demo(
    size: Annotated[
        DemoSize, typer.Option(help="full: the measured comparison; smoke: everything runs, nothing is learnt.")
    ] = DemoSize.full,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/demo"),
    engine: Engine = EngineName.prefect,
    as_json: AsJson = False,
) -> None:
    """Run the whole way on invented studies: DICOM, teacher, students, explanations, registry, reports."""
    from flows.engine import start_engine

    begun = time.perf_counter()
    # The patients are invented, so their pseudonyms may be made with a secret that everybody knows.
    os.environ["MEDKD_SECRET"] = "demo"
    with start_engine(engine.value, out.resolve(), progress=True):
        from flows.demo import run_demo
        from flows.summary import run_tables

        result, summary = run_demo(out.resolve(), size=size.value, engine=engine.value, progress=True, begun=begun)
    if as_json:
        _say_json(summary)
        return
    _say(run_tables(result))
    _say_where(summary, out)


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    studies: Annotated[int, typer.Option(min=1, help="Number of studies.")] = 48,
    seed: Annotated[int, typer.Option(help="The same seed writes the same bytes.")] = 7,
    difficulty: Annotated[float, typer.Option(min=0.1, help="1 is the reference; more is harder.")] = 1.0,
    case: Annotated[
        list[str] | None,
        typer.Option(help="Write this nasty case instead (gantry_tilt, missing_slice, …; all of them: all). May be repeated."),
    ] = None,
    variant: Annotated[str, typer.Option(help="How a case is scanned and written: axial, oblique, sagittal, coronal, …")] = "axial",
    as_json: AsJson = False,
) -> None:
    """Write the phantom as DICOM studies with lesion segmentations, or small series with one known fault each."""
    if case:
        from medkd.dicom.phantom_cases import CASES, find_variant, write_case

        names = list(CASES) if "all" in case else case
        chosen = find_variant(variant)
        files = {name: [str(path) for path in write_case(out / name, name, chosen, seed=seed)] for name in names}
        if as_json:
            _say_json({"cases": files, "out": str(out)})
        else:
            _say("\n".join(f"{name.ljust(24)} {len(paths):3d} files in {out / name}" for name, paths in files.items()))
        return
    from medkd.dicom.phantom_dicom import write_phantom_dicom

    _, written = write_phantom_dicom(out, studies=studies, seed=seed, difficulty=difficulty, progress=True)
    if as_json:
        _say_json({"studies": len(written), "patients": len({study.patient for study in written}), "out": str(out)})
    else:
        _say(f"wrote {len(written)} studies of {len({study.patient for study in written})} patients to {out}")


@app.command()
def ingest(
    source: Annotated[Path, typer.Argument(help="Folder, file, zip archive or DICOMDIR.")],
    out: Annotated[Path, typer.Option(help="Store to write or extend.")] = Path("store"),
    policy: Policy = None,
    nifti: Annotated[bool, typer.Option("--nifti", help="Also write each accepted volume as NIfTI.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge everything, write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Prove, de-identify and store every series of a folder; what is refused is quarantined with its reason."""
    from flows.ingest import read_policy
    from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret

    report = ingest_with_site_secret(IngestRequest(source, out, read_policy(policy), nifti, dry_run, progress=True))
    summary = report.summary()
    if as_json:
        _say_json(summary)
        return
    counts = summary["ingest"]
    _say(f"{counts['found']} files: {counts['accepted']} accepted, {counts['quarantined']} quarantined, {counts['ignored']} ignored")
    _say_codes(report.codes())
    for line in report.series:
        flags = ", ".join(code.value for code in line.flags)
        shape = " x ".join(str(size) for size in line.shape)
        _say(f"  {shape.ljust(16)} residual {line.residual_mm:.4f} mm  {line.first_file}" + (f"  [{flags}]" if flags else ""))
    if dry_run:
        _say(f"{len(summary['series'])} volumes would be stored; nothing was written")
    else:
        _say(f"{len(summary['series'])} volumes in {out}; refused files with their reasons: {out / 'quarantine' / 'report.html'}")


@app.command()
def deidentify(
    source: Annotated[Path, typer.Argument(help="Folder, file, zip archive or DICOMDIR.")],
    out: Annotated[Path, typer.Option(help="Folder to hand on: PATIENT/STUDY/SERIES/INSTANCE.dcm and nothing else.")],
    kept: Annotated[Path | None, typer.Option(help="Folder for quarantine and report, which stay here; by default OUT.quarantine.")] = None,
    policy: Annotated[
        str | None, typer.Option(help="repair blanks text that was found in pixels; accept_with_flag lets it pass; or a YAML file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write DICOM without what identifies anybody (PS3.15 Annex E); a study with a leak is not published."""
    from flows.ingest import read_policy
    from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
    from medkd.dicom.confidentiality.secret import site_secret

    request = DeidentifyRequest(source, out, kept, read_policy(policy), progress=True)
    report = deidentify_folder(request, secret=site_secret())
    if as_json:
        _say_json(report.summary())
        return
    counts = report.summary()["ingest"]
    _say(f"{counts['found']} files: {counts['accepted']} published, {counts['quarantined']} quarantined, {counts['ignored']} ignored")
    _say_codes(report.codes())
    _say(f"published in {out}; what stays here, with the reasons: {request.house() / 'quarantine' / 'report.html'}")


@app.command()
def run(
    recipe: RecipeFile, out: RunFolder = None, overrides: Overrides = None, engine: Engine = EngineName.prefect, as_json: AsJson = False
) -> None:
    """Run a recipe: teacher, gate, students of every arm and seed, scorecards, explanations, registry."""
    _learn(recipe, out, overrides, engine, Last.register, as_json)


@app.command()
def extract(
    recipe: RecipeFile, out: RunFolder = None, overrides: Overrides = None, engine: Engine = EngineName.none, as_json: AsJson = False
) -> None:
    """Train a recipe's teacher, store what it knows about every case that students learn from, and register both."""
    from flows.engine import start_engine
    from flows.extract_knowledge import extract_and_register
    from flows.summary import knowledge_summary, knowledge_text

    wanted, workspace = _open_run(recipe, out, overrides)
    with start_engine(engine.value, workspace.root, progress=True):
        model, knowledge = extract_and_register(workspace, wanted)
    summary = knowledge_summary(model, knowledge)
    if as_json:
        _say_json(summary)
    else:
        _say(knowledge_text(summary))


@app.command()
def distill(
    recipe: RecipeFile,
    knowledge: Annotated[str, typer.Option(help="Registered knowledge, models:/NAME-knowledge/VERSION.")],
    run_folder: RunOfModels = Path("runs/demo"),
    tracking_uri: TrackingUri = None,
    out: RunFolder = None,
    overrides: Overrides = None,
    engine: Engine = EngineName.none,
    as_json: AsJson = False,
) -> None:
    """Train and score a recipe's students from registered knowledge, without the teacher's weights."""
    from dataclasses import replace

    from flows.distill_from_store import distill_from_store
    from flows.engine import start_engine
    from flows.summary import students_summary, students_text

    wanted, workspace = _open_run(recipe, out, overrides)
    workspace = replace(workspace, tracking_uri=_registry_uri(run_folder, tracking_uri))
    with start_engine(engine.value, workspace.root, progress=True):
        registered, cards = distill_from_store(workspace, wanted, knowledge)
    summary = students_summary(registered, cards)
    if as_json:
        _say_json({"knowledge": knowledge, **summary})
    else:
        _say(students_text(summary))


@app.command()
def experiment(
    recipe: RecipeFile, out: RunFolder = None, overrides: Overrides = None, engine: Engine = EngineName.none, as_json: AsJson = False
) -> None:
    """Compare the arms of a recipe as its plan says: search, controls, plateaus, conditions, harm; ends in a scoreboard."""
    from flows.engine import start_engine
    from medkd.training.recipes import read_recipe
    from medkd.workspace import embedded_workspace

    begun = time.perf_counter()
    wanted = read_recipe(recipe, _parse_overrides(overrides))
    data_root = Path(os.environ.get("MEDKD_DATA", "../shared/data"))
    workspace = embedded_workspace(out or Path("runs/experiments") / wanted.name, progress=True, data_root=data_root)
    with start_engine(engine.value, workspace.root, progress=True):
        from flows.experiment import experiment as run_experiment
        from medkd.experiment.write_scoreboard import scoreboard_text

        board = run_experiment(workspace, wanted)
    seconds = time.perf_counter() - begun
    if as_json:
        _say_json(
            {
                **board.model_dump(mode="json", include={"name", "arms", "comparisons", "harmful", "searched", "null_flags"}),
                "seconds": round(seconds, 1),
            }
        )
    else:
        _say(scoreboard_text(board) + f"\n\nscoreboard, tables and figure in {workspace.root} ({seconds:.0f} s)")


@app.command()
def evaluate(
    recipe: Annotated[Path | None, typer.Argument(help="Recipe: print its run's scorecards. Or give --model and --data.")] = None,
    model: Annotated[str | None, typer.Option(help="Registered model, models:/NAME/VERSION.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with cases.csv or dataset.json, as in docs/tutorial.md.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Registered teacher to compare with.")] = None,
    where: Annotated[list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="Keep these lines of cases.csv; may be repeated.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column that names the files, where it is not recognised.")] = None,
    patient_column: Annotated[str | None, typer.Option(help="Column that names the patient.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column that holds the class.")] = None,
    pair_by: Annotated[
        str | None, typer.Option(help="Without cases.csv: odd-even, or a regular expression whose group is the person.")
    ] = None,
    run_folder: RunOfModels = Path("runs/demo"),
    tracking_uri: TrackingUri = None,
    out: RunFolder = None,
    overrides: Overrides = None,
    engine: Engine = EngineName.none,
    as_json: AsJson = False,
) -> None:
    """Score a registered model on a folder it has never seen, or print the scorecards of a recipe's run."""
    if recipe is not None and model is None and data is None:
        _learn(recipe, out, overrides, engine, Last.evaluate, as_json)
        return
    if recipe is not None or model is None or data is None:
        raise typer.BadParameter("expected a recipe, or --model and --data together")
    from flows.engine import start_engine
    from flows.evaluate_folder import evaluate_folder
    from flows.summary import folder_json, folder_tables
    from medkd.volumes.foreign_folder import FolderHints
    from medkd.workspace import Workspace

    uri = _registry_uri(run_folder, tracking_uri)
    hints = FolderHints(id_column, patient_column, label_column, pair_by, _pairs(where, "--where COLUMN=VALUE"))
    folder = (out or Path("runs/evaluations") / f"{model.removeprefix('models:/').replace('/', '-')}-{data.resolve().name}").resolve()
    with start_engine(engine.value, folder, workers=0, progress=True):
        evaluation = evaluate_folder(Workspace(root=folder, tracking_uri=uri, progress=True), data.resolve(), hints, model, teacher)
    if as_json:
        _say_json(folder_json(evaluation))
    else:
        _say(folder_tables(evaluation) + f"\n\nrows and picture in {folder}")


@app.command()
def explain(
    recipe: Annotated[
        Path | None,
        typer.Argument(
            help="Recipe: explain its run's students, or with --model a registered one on its test cases. Or give --model and --study."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Registered model, models:/NAME/VERSION.")] = None,
    study: Annotated[Path | None, typer.Option(help="DICOM of one study (folder or file).")] = None,
    explainers: Annotated[
        str,
        typer.Option(help="Names, with commas between (`medkd catalogue explainers`); all, with a recipe: every one, by every measure."),
    ] = DEFAULT_EXPLAINERS,
    lesion: Annotated[
        int | None, typer.Option(min=1, help="Explain this lesion (of a classifier: this answer) only; the largest is 1.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.001, help="Time for all: explainers that refine make what fits and say so.")
    ] = None,
    series: Annotated[str | None, typer.Option(help="Key of the series, where the study holds several.")] = None,
    policy: Policy = None,
    run_folder: RunOfModels = Path("runs/demo"),
    tracking_uri: TrackingUri = None,
    out: RunFolder = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A recipe's field, or EXPLAINER.OPTION=VALUE with --model.")
    ] = None,
    engine: Engine = EngineName.none,
    as_json: AsJson = False,
) -> None:
    """Explain what a registered model finds or answers in a study, with tests of every map; or the students of a recipe's run."""
    if recipe is not None and model is None and study is None:
        _learn(recipe, out, overrides, engine, Last.explain, as_json)
        return
    if model is None or (recipe is None) == (study is None):
        raise typer.BadParameter("expected a recipe, with or without --model, or --model and --study together")
    registry = _registry_uri(run_folder, tracking_uri)
    if study is not None:
        from flows.explanation_text import explanation_request

        request = explanation_request(explainers, _parse_overrides(overrides), lesion=lesion, seconds=seconds)
        workspace = _study_workspace(out or Path("runs/explanations") / study.resolve().name, registry)
        _explain_study(workspace, study, model, request, (series, policy), engine, as_json)
    elif recipe is not None:
        from medkd.training.recipes import with_everything

        wanted, workspace = _open_run(recipe, out, overrides)
        _explain_model(with_everything(wanted) if explainers == "all" else wanted, workspace, model, registry, engine, as_json)


def _study_workspace(folder: Path, registry: str) -> Workspace:
    from medkd.workspace import Workspace

    return Workspace(root=folder.resolve(), tracking_uri=registry, progress=True)


def _explain_study(
    workspace: Workspace,
    study: Path,
    model: str,
    request: ExplanationRequest,
    choice: tuple[str | None, str | None],
    engine: EngineName,
    as_json: bool,
) -> None:
    """Explain one study; ``choice`` is the series and the policy of its ingestion."""
    from flows.engine import start_engine
    from flows.explain_study import explain_study
    from flows.explanation_text import explanation_summary, explanation_text
    from flows.ingest import read_policy

    with start_engine(engine.value, workspace.root, workers=0, progress=True):
        made = explain_study(workspace, study, model, request, series=choice[0], policy=read_policy(choice[1]))
    summary = explanation_summary(made)
    if as_json:
        _say_json(summary)
    else:
        _say(explanation_text(summary))


def _explain_model(recipe: Recipe, workspace: Workspace, model: str, registry: str, engine: EngineName, as_json: bool) -> None:
    """Explain a registered model on the test cases of a recipe's data."""
    from flows.engine import start_engine
    from flows.explain_model import explain_model
    from flows.explanation_text import bundle_table

    with start_engine(engine.value, workspace.root, workers=0, progress=True):
        bundle = explain_model(workspace, recipe, model, registry)
    if as_json:
        _say_json(
            {
                "subject": bundle.subject,
                "explanations": bundle.digest(),
                "figures": {name: figure.model_dump() for name, figure in bundle.figures.items()},
                "not_to_be_trusted": list(bundle.not_to_be_trusted),
            }
        )
    else:
        _say(bundle_table(bundle))


@app.command("inspect")
def inspect_command(
    recipe: RecipeFile,
    model: Annotated[str, typer.Option(help="Registered model, models:/NAME/VERSION.")],
    run_folder: RunOfModels = Path("runs/demo"),
    tracking_uri: TrackingUri = None,
    out: RunFolder = None,
    overrides: Overrides = None,
    engine: Engine = EngineName.none,
    as_json: AsJson = False,
) -> None:
    """Look into a registered model beside its teacher: likeness of layers, what each class would like to see, the least that flips an answer."""
    from flows.engine import start_engine
    from flows.explanation_text import inspection_text
    from flows.inspect_model import inspect_model

    wanted, workspace = _open_run(recipe, out, overrides)
    with start_engine(engine.value, workspace.root, workers=0, progress=True):
        found = inspect_model(workspace, wanted, model, _registry_uri(run_folder, tracking_uri))
    picture = workspace.store.path(found.picture)
    if as_json:
        _say_json({**found.model_dump(mode="json"), "ok": True, "inspection": found.digest(), "picture": str(picture)})
    else:
        _say(inspection_text(found) + f"\npicture {picture}")


@app.command("replay")
def replay_command(
    explanation: Annotated[str, typer.Argument(help="Content id of an explanation or of one of its maps; its beginning is enough.")],
    folder: Annotated[Path, typer.Option("--in", help="Folder that explanations are looked for in.")] = Path("runs/explanations"),
    run_folder: RunOfModels = Path("runs/demo"),
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Make an explanation again from its study and models, and compare every bit."""
    from data_contracts import ExplanationError
    from flows.explain_study import replay
    from medkd.workspace import Workspace

    workspace = Workspace(root=folder.resolve(), tracking_uri=_registry_uri(run_folder, tracking_uri))
    place, same, differs = replay(workspace, folder.resolve(), explanation)
    if not same:
        worst = max(differs, key=lambda name: differs[name]) if differs else "the record"
        raise ExplanationError(
            "REPLAY_DIFFERS",
            f"expected the bits of {place.name}, {len(differs)} maps differ, most of all {worst} by {differs.get(worst, 0.0):.2g} of its largest value",
        )
    if as_json:
        _say_json({"ok": True, "explanation": place.name, "folder": str(place)})
    else:
        _say(f"{place.name}: every bit is the same")


@app.command("planted-truth")
def planted_truth_command(
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/planted-truth"),
    cases: Annotated[int, typer.Option(min=2, help="Volumes that are explained.")] = 40,
    seed: Annotated[int, typer.Option(help="Of cohorts and networks.")] = 0,
    engine: Engine = EngineName.none,
    as_json: AsJson = False,
) -> None:
    """Ask whether explainers find what a network really uses: volumes with a planted lesion and marker, and networks that use either or both."""
    from flows.engine import start_engine
    from flows.planted_truth import planted_truth
    from medkd.experiment.write_planted_truth import planted_truth_markdown
    from medkd.workspace import embedded_workspace

    workspace = embedded_workspace(out, progress=True)
    with start_engine(engine.value, workspace.root, workers=0, progress=True):
        truth = planted_truth(workspace, cases, seed)
    if as_json:
        _say_json({**truth.model_dump(mode="json"), "folder": str(workspace.root)})
    else:
        _say(planted_truth_markdown(truth) + f"\ntable and picture in {workspace.root}")


@app.command()
def report(
    store: Annotated[Path, typer.Argument(help="Store written by `medkd ingest`.")],
    run_folder: Annotated[Path, typer.Option("--run", help="Run whose models are asked.")] = Path("runs/demo"),
    engine: Engine = EngineName.none,
    as_json: AsJson = False,
) -> None:
    """Write a review report for every study of a store, with the models of an earlier run."""
    from data_contracts import ReviewPanel, load_record
    from flows.engine import start_engine
    from flows.pipeline import report_store
    from medkd.workspace import embedded_workspace

    panel = load_record(run_folder / "panel.json", ReviewPanel)
    workspace = embedded_workspace(run_folder, progress=True)
    with start_engine(engine.value, workspace.root, progress=True):
        written = report_store(workspace, store, panel)
    pages = [str(workspace.store.path(ref)) for ref in written.pages]
    if as_json:
        _say_json({"reports": pages})
    else:
        _say("\n".join(pages))


@app.command("run-study")
def run_study_command(
    source: Annotated[Path, typer.Argument(help="DICOM of one study (folder or file).")],
    model: Annotated[str, typer.Option(help="Registered model, models:/NAME/VERSION.")],
    out: Annotated[Path, typer.Option(help="Folder to write report and segmentation to.")],
    run_folder: RunOfModels = Path("runs/demo"),
    tracking_uri: TrackingUri = None,
    series: Annotated[str | None, typer.Option(help="Key of the series, where the source holds several.")] = None,
    policy: Policy = None,
    engine: Engine = EngineName.none,
    as_json: AsJson = False,
) -> None:
    """Prove, segment, explain and report one new study with a registered model. No finding is an answer."""
    from flows.engine import start_engine
    from flows.ingest import read_policy
    from flows.run_study import run_study
    from medkd.workspace import Workspace

    begun, out = time.perf_counter(), out.resolve()
    uri = _registry_uri(run_folder, tracking_uri)
    workspace = Workspace(root=out, tracking_uri=uri, progress=True)
    with start_engine(engine.value, out, workers=0, progress=True):
        outcome = run_study(workspace, source, model, out, series, read_policy(policy))
    report = outcome.report
    found = [{"class": f.lesion.class_name, "volume_ml": f.lesion.volume_ml, "side": f.lesion.side} for f in report.findings]
    summary = {"ok": True, "seconds": round(time.perf_counter() - begun, 1), "findings": found, "report": str(out / "report.html")}
    if as_json:
        _say_json(
            {**summary, "report_digest": report.digest(), "segmentation": str(out / "segmentation.nii.gz"), **outcome.ingested.summary()}
        )
        return
    for item in found or [{"class": "no finding", "volume_ml": 0.0, "side": "unknown"}]:
        _say(f"{item['class']}: {item['volume_ml']:.2f} ml, side {item['side']}")
    _say(f"report        {out / 'report.html'}\nsegmentation  {out / 'segmentation.nii.gz'}\n{summary['seconds']:.0f} s")


def _say_codes(codes: dict[str, int]) -> None:
    from data_contracts import CODES

    for code, count in codes.items():
        _say(f"  {count:6d}  {code.ljust(28)} {CODES[IngestCode(code)].meaning}")


def _registry_uri(run_folder: Path, tracking_uri: str | None) -> str:
    """Return where the registry is; a database that is not there is refused: MLflow would make an empty one and find nothing in it."""
    from data_contracts.errors import RegistryError

    uri = tracking_uri or f"sqlite:///{run_folder.resolve() / 'mlflow.db'}"
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:") and not path.is_file():
        raise RegistryError(
            "REGISTRY_MISSING", f"expected a registry at {path}, found no file; name the run with --run or a server with --tracking-uri"
        )
    return uri


@app.command()
def catalogue(kind: Annotated[Kind, typer.Argument(help="Which folder.")], as_json: AsJson = False) -> None:
    """List losses, explainers, measures or networks with what they declare: needs, range, source, where they cannot work."""
    from medkd.catalogue import CATALOGUES

    folder = CATALOGUES[kind.value]
    entries = [folder.entry(name).described() for name in folder.names()]
    if as_json:
        _say_json({"entries": entries})
        return
    width = max(len(entry["name"]) for entry in entries)
    for entry in entries:
        _say(f"{entry['name'].ljust(width)}  {entry['summary']}")
        for title, text in _facts(entry):
            _say(f"{' ' * width}  {title}: {text}")


def _facts(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what an entry declares, as (title, text)."""
    if entry["options"]:
        yield "options", ", ".join(f"{key}={value}" for key, value in entry["options"].items())
    if "needs" in entry:
        yield "needs", ", ".join(entry["needs"]) or "nothing"
    if "tasks" in entry:
        yield "for", ", ".join(entry["tasks"])
    if "range" in entry:
        flags = [name.replace("_", " ") for name in ("minimum_at_teacher", "batch_coupled", "mixes") if entry.get(name)]
        yield "range", " to ".join(str(bound) for bound in entry["range"]) + (f" ({', '.join(flags)})" if flags else "")
    if "scope" in entry:
        held = [name for name in ("signed", "complete", "additive", "differentiable") if entry.get(name)]
        yield "is", ", ".join([entry["scope"], entry["access"], *held])
        yield "randomisation", "passes" if entry["passes_randomisation"] else "does not pass: it says more of the image than of the network"
    if "guards" in entry:
        for where, reason in entry["guards"].items():
            yield f"not {where}", reason
    if "source" in entry:
        yield "source", entry["source"]


def _open_run(recipe_file: Path, out: Path | None, overrides: list[str] | None) -> tuple[Recipe, Workspace]:
    """Return a bound recipe and the workspace of its run."""
    from medkd.training.recipes import read_recipe
    from medkd.workspace import embedded_workspace

    recipe = read_recipe(recipe_file, _parse_overrides(overrides))
    data_root = Path(os.environ.get("MEDKD_DATA", "../shared/data"))
    return recipe, embedded_workspace(out or Path("runs") / recipe.name, progress=True, data_root=data_root)


def _learn(recipe_file: Path, out: Path | None, overrides: list[str] | None, engine: EngineName, last: Last, as_json: bool) -> None:
    from flows.engine import start_engine
    from flows.pipeline import PipelineResult, learn, pipeline
    from flows.summary import run_summary

    begun = time.perf_counter()
    recipe, workspace = _open_run(recipe_file, out, overrides)
    folder = out or Path("runs") / recipe.name
    with start_engine(engine.value, workspace.root, progress=True):
        result = pipeline(workspace, (recipe,)) if last is Last.register else PipelineResult(learn(workspace, (recipe,), until=last.value))
    summary = run_summary(result, workspace, engine=engine.value, seconds=time.perf_counter() - begun, project=Path.cwd())
    summary["maps"] = _maps(result)
    _write_json(workspace.root / "summary.json", summary)
    _tell(recipe, result, summary, folder, as_json)


def _tell(recipe: Recipe, result: PipelineResult, summary: dict[str, Any], folder: Path, as_json: bool) -> None:
    from flows.explanation_text import bundle_table
    from flows.summary import run_tables

    if as_json:
        _say_json({"recipe": recipe.name, **summary})
        return
    _say(run_tables(result))
    for outcome in result.outcomes:
        for bundle in outcome.bundles:
            _say("\n" + bundle_table(bundle))
    _say_where(summary, folder)


def _maps(result: PipelineResult) -> dict[str, dict[str, Any]]:
    return {b.subject: {name: figure.model_dump() for name, figure in b.figures.items()} for o in result.outcomes for b in o.bundles}


def _parse_overrides(overrides: list[str] | None) -> dict[str, Any]:
    import yaml

    return {name: yaml.safe_load(value) for name, value in _pairs(overrides, "--set FIELD=VALUE").items()}


def _pairs(items: list[str] | None, wanted: str) -> dict[str, str]:
    """Return NAME=VALUE options as a dictionary."""
    parsed = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        if not equals:
            raise RecipeError("RECIPE_OVERRIDE" if wanted.startswith("--set") else "OPTION_PAIR", f"expected {wanted}, got {item!r}")
        parsed[name] = value
    return parsed


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _say_json(payload: dict[str, Any]) -> None:
    _say(json.dumps(payload))


def _write_json(path: Path, payload: dict[str, Any]) -> None:
    path.write_text(json.dumps(payload, indent=1) + "\n", encoding="utf-8")


def _say_where(summary: dict[str, Any], folder: Path) -> None:
    if summary["ingest"]:
        counts = summary["ingest"]
        _say(
            f"\nstudies   {counts['found']} files found: {counts['accepted']} accepted, {counts['quarantined']} quarantined, {counts['ignored']} ignored"
        )
    if summary["models"]:
        _say(f"registry  {len(summary['models'])} model versions, {summary['explanations']} explanations")
        _say(f"          open it with: mlflow ui --backend-store-uri {summary['tracking_uri']}")
    for page in summary["reports"]:
        _say(f"report    {page}")
    _say(f"summary   {folder / 'summary.json'} ({summary['seconds']:.0f} s, engine {summary['engine']})")


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Turn an error of ours into one sentence and exit status 2."""
    try:
        yield
    except MedkdError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        raise SystemExit(2) from error


def main() -> None:
    """Run the command line."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    end_quickly()
    with _clear_errors():
        app()


if __name__ == "__main__":
    main()
