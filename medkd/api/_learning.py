"""Recipes, and the way from a recipe to registered students."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from data_contracts import (
    DicomData,
    Recipe,
    student_rounds,
    teacher_rounds,
)
from data_contracts.private import privately
from medkd.api._paths import PathLike
from medkd.catalogue import CATALOGUES
from medkd.cohorts.dicom_cohort import ingested_folder
from medkd.cohorts.prepare import prepare_cohorts, source_digest
from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret
from medkd.evaluation.calibrate import calibrate
from medkd.evaluation.case_results import collect_case_results
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.describe_training import describe_training
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.evaluation.gate_teacher import judge_teacher, require_fit_teacher
from medkd.evaluation.loss_statement import state_loss
from medkd.explanation.explain_cohort import explain_cohort
from medkd.recipe_calls.evaluation_calls import (
    by_arm,
    calibration_calls,
    card_calls,
    comparison_calls,
    evaluation_calls,
    explanation_calls,
    loss_calls,
    results_calls,
    training_features_calls,
)
from medkd.recipe_calls.training_calls import (
    further_teacher_calls,
    gate_call,
    in_order,
    knowledge_calls,
    say_stopped,
    starting_calls,
    student_calls,
    synthesis_calls,
    teacher_call,
    with_knowledge,
)
from medkd.registry.adopt_teacher import registered_teacher
from medkd.registry.publish import register_everything
from medkd.registry.publish_knowledge import publish_knowledge
from medkd.registry.recipe_result import RecipeResult
from medkd.registry.ship_metrics import shipping
from medkd.storage.output import RUN, claim
from medkd.storage.workspace import Workspace, local_workspace
from medkd.synthesis.synthesise_cohorts import synthesise_cohorts
from medkd.training import train
from medkd.training.check_recipe import RecipeCheck
from medkd.training.check_recipe import check_recipe as _check_recipe
from medkd.training.extract_knowledge import extract_knowledge
from medkd.training.recipes import make_recipe
from medkd.training.recipes import read_recipe as _read_recipe
from medkd.training.starting_weights import starting_weights


def entries(kind: Literal["losses", "explainers", "measures", "networks"]) -> tuple[dict[str, Any], ...]:
    """Return what a catalogue holds: name, summary, options, source and what each declares.

    Example:
        >>> "logit_kd" in [entry["name"] for entry in medkd.entries("losses")]
        True
    """
    catalogue = CATALOGUES[kind]
    return tuple(catalogue.entry(name).described() for name in catalogue.names())


def read_recipe(recipe: PathLike | Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Return a bound recipe.

    Args:
        recipe: YAML file, or the same fields as a mapping.
        overrides: dotted field → value, for example ``{"student.fit.epochs": 2}``.

    Raises:
        RecipeError, CatalogueError: the first mistake, with its place and how many more there are.
    """
    if isinstance(recipe, Mapping):
        return make_recipe(_plain(recipe), overrides or {}, str(recipe.get("name", "recipe")))
    return _read_recipe(Path(recipe), overrides)


def _plain(value: Any) -> Any:
    """Return a copy that overrides may change."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def check_recipe(recipe: PathLike, overrides: Mapping[str, Any] | None = None, *, data_root: PathLike | None = None) -> RecipeCheck:
    """Return everything that is wrong with a recipe and the data that it names (``check.mistakes``), before any compute.

    Args:
        recipe: YAML file.
        overrides: dotted field → value.
        data_root: folder that ``data.path`` is relative to; by default ``MEDKD_DATA``, or ``data`` in the present folder.
    """
    return _check_recipe(Path(recipe), overrides, data_root=_data_root(data_root))


def _data_root(given: PathLike | None) -> Path:
    return Path(given if given is not None else os.environ.get("MEDKD_DATA", "data"))


def distill(
    recipe: Recipe | PathLike | Mapping[str, Any],
    out: PathLike | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    data_root: PathLike | None = None,
    register: bool = True,
    progress: bool = False,
) -> RecipeResult:
    """Take a recipe from its data to registered models: teacher, gate, students of every arm and seed, scorecards, explanations, registry.

    What a run in ``out`` has finished is not done again; a killed run goes on.

    Args:
        recipe: YAML file, its fields, or what :func:`read_recipe` returned.
        out: folder of the run; by default ``runs/NAME``. ``medkd.load(uri, run=out)`` finds its models.
        overrides: dotted field → value.
        data_root: folder that ``data.path`` is relative to; by default ``MEDKD_DATA``, or ``data`` in the present folder.
        register: put models and explanations into the run's MLflow registry; false ends with the scorecards.
        progress: show bars.

    Returns:
        Checkpoints, scorecards, comparisons, explanations and registered versions.

    Raises:
        TeacherGateError: the gate judged the teacher unfit to be copied.
        RecipeError, CatalogueError, SourceError, DataError: recipe or data do not fit.

    Example:
        >>> result = medkd.distill(recipe, "runs/first")
        >>> [card.subject for card in result.scorecards]
        ['first/teacher', 'first/alone', 'first/kd']
    """
    wanted = recipe if isinstance(recipe, Recipe) and not overrides else read_recipe(_fields(recipe), overrides)
    with privately():
        folder = claim(Path(out if out is not None else Path("runs") / wanted.name).resolve(), RUN)
        workspace = local_workspace(folder, progress=progress, data_root=_data_root(data_root))
        with shipping(workspace, [wanted] if register else ()) as metrics:
            result = _taught(workspace, wanted)
            metrics.finish()
            result = _scored(workspace, result)
            metrics.drain()  # before the models: what was not sent by now is logged with them
            return _registered(workspace, result) if register else result


def _fields(recipe: Recipe | PathLike | Mapping[str, Any]) -> PathLike | Mapping[str, Any]:
    return recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else recipe


def _taught(workspace: Workspace, recipe: Recipe) -> RecipeResult:
    """Return cohorts, a teacher that the gate let pass, what was extracted of it, and the students."""
    source, ingested = source_digest(recipe.data, workspace.data_root), None
    if isinstance(recipe.data, DicomData):
        folder = ingested_folder(workspace, recipe.name)
        ingested = ingest_with_site_secret(IngestRequest(workspace.data_root / recipe.data.path, folder, recipe.data.policy))
    result = RecipeResult(recipe, prepare_cohorts(workspace, recipe.cohorts(), source, ingested))
    trains = recipe.teacher.registered is None
    teacher = train.train_teacher(*teacher_call(workspace, result)) if trains else registered_teacher(workspace, recipe)
    result = replace(result, teacher=teacher)
    result = replace(result, verdicts=(judge_teacher(*gate_call(workspace, result)),))
    require_fit_teacher(result.verdicts[0])
    result = _further_taught(workspace, result)
    for call in synthesis_calls(workspace, result):
        result = replace(result, cohorts=synthesise_cohorts(*call))
    result = with_knowledge(result, [extract_knowledge(*call) for call in knowledge_calls(workspace, result)])
    result = replace(result, starts=tuple(starting_weights(*call) for call in starting_calls(workspace, result)))
    for number in range(len(student_rounds(recipe))):
        students = tuple(train.distill(*call) for call in student_calls(workspace, result, number))
        result = replace(result, students=in_order(recipe, (*result.students, *students)))
    return result


def _further_taught(workspace: Workspace, result: RecipeResult) -> RecipeResult:
    """Return the recipe's further teachers, and what the gate says of each."""
    for number in range(len(teacher_rounds(result.recipe))):
        trained = tuple(train.train_teacher(*call) for call in further_teacher_calls(workspace, result, number))
        judged = tuple(judge_teacher(*gate_call(workspace, result, one)) for one in trained)
        result = replace(result, teachers=(*result.teachers, *trained), verdicts=(*result.verdicts, *judged))
    say_stopped(result)
    return result


def _scored(workspace: Workspace, result: RecipeResult) -> RecipeResult:
    """Return scorecards, comparisons, calibrations, features of training cases and loss statements too."""
    arms = by_arm(evaluate_model(*call) for call in evaluation_calls(workspace, result))
    cards = tuple(summarise(*call) for call in card_calls(workspace, result, arms))
    compared = tuple(compare_arms(*call) for call in comparison_calls(workspace, result, arms))
    calibrated = tuple(calibrate(*call) for call in calibration_calls(workspace, result))
    described = tuple(describe_training(*call) for call in training_features_calls(workspace, result))
    (cases,) = (collect_case_results(*call) for call in results_calls(workspace, result, arms))
    result = replace(
        result, scorecards=cards, comparisons=compared, calibrations=calibrated, case_results=cases, training_features=described
    )
    return replace(result, loss_statements=tuple(state_loss(*call) for call in loss_calls(workspace, result)))


def _registered(workspace: Workspace, result: RecipeResult) -> RecipeResult:
    """Return explanations and registered versions too."""
    result = replace(result, bundles=tuple(explain_cohort(*call) for call in explanation_calls(workspace, result)))
    (registered,) = register_everything(workspace, (result,))
    if result.knowledge is not None:
        publish_knowledge(workspace, result.recipe.name, registered.models[0], result.knowledge)
    return replace(result, registered=registered)
