"""Flow: a registered student is made smaller and faster in several ways, and each form of it is measured, judged and, where it passes, registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_contracts import (
    Checkpoint,
    CohortSet,
    CompressionRecipe,
    CompressionReport,
    ExportedForm,
    FormAnswers,
    MadeForm,
    ModelRef,
    Recipe,
)
from flows.evaluate import evaluate
from flows.explain_model import explain_registered_model
from flows.orchestration import flow, submit_all, task
from flows.prepare import prepare
from medkd.compression import answer_cases, make_form, time_forms
from medkd.compression.candidates import (
    CompressionSource,
    baselines,
    checked_candidates,
    fetch_registered,
    seeds_of,
    train_candidate,
    training_of,
)
from medkd.compression.compare_forms import MeasuredForms, compare_forms
from medkd.compression.processor import processor
from medkd.compression.register_forms import accepted_forms, attach_forms, attach_report
from medkd.compression.register_versions import compressed_students, register_versions
from medkd.compression.write_compression import write_compression
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace

fetch = task(fetch_registered)
train_one = task(train_candidate, trains=True)
make_one = task(make_form.make_form)
ask_one = task(answer_cases.answer_form)
time_all = task(time_forms.time_forms)
compare = task(compare_forms)
register_trained = task(register_versions)
attach = task(attach_forms)
attach_table = task(attach_report)
Forms = Mapping[str, tuple[MadeForm, ...]]


@dataclass(frozen=True)
class CompressionPlan:
    """What is compressed, and how.

    Attributes:
        recipe: candidates and bounds.
        data: recipe of the student's data and training.
        out: folder of the table.
    """

    recipe: CompressionRecipe
    data: Recipe
    out: Path


@dataclass(frozen=True)
class CompressionResult:
    """What came of it.

    Attributes:
        report: the table.
        versions: what was registered of what was trained.
        forms: what was attached below versions.
    """

    report: CompressionReport
    versions: tuple[ModelRef, ...] = ()
    forms: tuple[ExportedForm, ...] = field(default=())


@flow
def compress(workspace: Workspace, plan: CompressionPlan) -> CompressionResult:
    """Make every candidate of a recipe, measure each form beside the version, write the table, and register what is within all bounds."""
    (prepared,) = prepare(workspace, (plan.data,))
    (source,) = submit_all(fetch, [(workspace, plan.recipe, prepared.cohorts)], title="version")
    failed = checked_candidates(plan.recipe, source.checkpoint)
    trained = train_candidates(workspace, plan, source, prepared.cohorts, frozenset(failed))
    made = make_forms(workspace, plan.recipe, source, prepared.cohorts, trained)
    answers = ask_forms(workspace, plan.recipe, prepared.cohorts, made)
    first = tuple(made[name][0] for name in answers)
    (costs,) = submit_all(time_all, [(workspace, first, prepared.cohorts)], title="time")
    measured = MeasuredForms(made, answers, costs, processor(), failed)
    (report,) = submit_all(compare, [(workspace, plan.recipe, source.model.lineage, prepared.cohorts, measured)], title="compare")
    write_compression(plan.out, report)
    return register_accepted(workspace, plan, source, prepared, (report, accepted_forms(report, made)))


def train_candidates(
    workspace: Workspace, plan: CompressionPlan, source: CompressionSource, cohorts: CohortSet, failed: frozenset[str]
) -> dict[str, tuple[Checkpoint, ...]]:
    """Return the networks of each candidate that can be made, one a seed where it is trained; the version's own where nothing is changed."""
    wanted = [
        (name, candidate, seed)
        for name, candidate in plan.recipe.candidates.items()
        if name not in failed
        for seed in seeds_of(plan.recipe, candidate)
    ]
    training = (training_of(plan.data, source.checkpoint), cohorts)
    calls = [(workspace, training, source.checkpoint, source.teacher, candidate, seed) for _, candidate, seed in wanted]
    names = [f"{name}-{seed}" for name, _, seed in wanted]
    done = submit_all(train_one, calls, title="candidates", names=names)
    found: dict[str, tuple[Checkpoint, ...]] = {}
    for (name, _, _), checkpoint in zip(wanted, done, strict=True):
        found[name] = (*found.get(name, ()), checkpoint)
    return found


def make_forms(
    workspace: Workspace,
    recipe: CompressionRecipe,
    source: CompressionSource,
    cohorts: CohortSet,
    trained: Mapping[str, Sequence[Checkpoint]],
) -> dict[str, tuple[MadeForm, ...]]:
    """Return the forms of the version itself, and of each candidate."""
    own = baselines()
    wanted = [(name, candidate, source.checkpoint) for name, candidate in own.items()]
    wanted += [(name, recipe.candidates[name], checkpoint) for name, checkpoints in trained.items() for checkpoint in checkpoints]
    calls = [(workspace, name, candidate, checkpoint, cohorts, source.checkpoint.seed) for name, candidate, checkpoint in wanted]
    made: dict[str, tuple[MadeForm, ...]] = {}
    for form in submit_all(make_one, calls, title="forms", names=[f"{name}-{one.seed}" for name, _, one in wanted]):
        made[form.name] = (*made.get(form.name, ()), form)
    return made


def ask_forms(workspace: Workspace, recipe: CompressionRecipe, cohorts: CohortSet, made: Forms) -> dict[str, tuple[FormAnswers, ...]]:
    """Return what each form answered about the test cases; none of a candidate that could not be made under every seed."""
    asked = [form for forms in made.values() if all(one.refusal is None for one in forms) for form in forms]
    calls = [(workspace, form, cohorts, recipe.cases) for form in asked]
    answers: dict[str, tuple[FormAnswers, ...]] = {}
    for answer in submit_all(ask_one, calls, title="test cases", names=[f"{form.name}-{form.seed}" for form in asked]):
        answers[answer.name] = (*answers.get(answer.name, ()), answer)
    return answers


def register_accepted(
    workspace: Workspace,
    plan: CompressionPlan,
    source: CompressionSource,
    prepared: RecipeResult,
    judged: tuple[CompressionReport, Mapping[str, MadeForm]],
) -> CompressionResult:
    """Register what was trained and is within all bounds and explain it, attach exported files, and put the table beside the version."""
    report, accepted = judged
    submit_all(attach_table, [(workspace, source.model, report, plan.out)], title="register table")
    students, models = compressed_students(accepted, source), {}
    if students:
        (scored,) = evaluate(
            workspace, (RecipeResult(plan.data, prepared.cohorts, teacher=source.teacher, students=tuple(students.values())),)
        )
        (versions,) = submit_all(register_trained, [(workspace, scored, source, report, plan.out)], title="register")
        models = {model.weights_digest: model for model in versions}
        explain_versions(workspace, plan.data, prepared.cohorts, versions)
    (forms,) = submit_all(attach, [(workspace, source, tuple(accepted.values()), models)], title="register forms")
    return CompressionResult(report, tuple(models.values()), forms)


def explain_versions(workspace: Workspace, data: Recipe, cohorts: CohortSet, versions: Sequence[ModelRef]) -> None:
    """Explain registered versions on the test cases of their data: the promotion gate asks for the maps beside a version."""
    calls = [(workspace, data.explanation(), cohorts, model.uri, workspace.tracking_uri) for model in versions]
    submit_all(explain_registered_model, calls, title="explain", names=[model.name for model in versions])
