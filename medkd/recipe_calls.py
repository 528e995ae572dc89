"""Which calls of which stage a recipe stands for. Who makes them is another's choice: flows side by side, :func:`medkd.distill` one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from data_contracts import Evaluation, ExplainSpec, Recipe, Subset, TaskKind
from medkd.evaluation.calibrate import calibration_subset
from medkd.explanation.explain_cohort import siblings_of
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace

#: Arguments of one call of a stage.
Call = tuple[Any, ...]
Arms = dict[str, tuple[Evaluation, ...]]

#: Arms that others are compared with, where a recipe has them: the student without a teacher, and plain soft labels.
BASELINES = ("alone", "kd")


def teacher_call(workspace: Workspace, result: RecipeResult) -> Call:
    """Return the arguments of ``train_teacher``."""
    return workspace, result.recipe.teacher_training(), result.cohorts


def gate_call(workspace: Workspace, result: RecipeResult) -> Call:
    """Return the arguments of ``judge_teacher``."""
    return workspace, result.recipe.name, result.recipe.teacher.gate, result.cohorts, result.require_teacher()


def knowledge_call(workspace: Workspace, result: RecipeResult) -> Call:
    """Return the arguments of ``extract_knowledge``."""
    return workspace, result.recipe.extraction(), result.cohorts, result.require_teacher()


def reads_store(recipe: Recipe) -> bool:
    """Return whether an arm of a recipe reads a store: then the teacher's knowledge is extracted first."""
    return any(arm.knowledge == "store" for arm in recipe.arms.values())


def student_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``distill``, in the order of the arms and then of the seeds."""
    recipe = result.recipe
    return [
        (workspace, recipe.student_training(arm, seed), result.cohorts, result.teacher, result.knowledge if stored else None)
        for arm, stored in ((name, arm.knowledge == "store") for name, arm in recipe.arms.items())
        for seed in recipe.seeds
    ]


def evaluation_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``evaluate_model``, the teacher first."""
    return [(workspace, result.recipe.name, result.cohorts, model, result.evaluated[0]) for model in result.evaluated]


def by_arm(evaluations: Iterable[Evaluation]) -> Arms:
    """Return evaluations by their arm, in their order."""
    found: dict[str, list[Evaluation]] = {}
    for one in evaluations:
        found.setdefault(one.arm, []).append(one)
    return {arm: tuple(group) for arm, group in found.items()}


def results_calls(workspace: Workspace, result: RecipeResult, arms: Arms) -> list[Call]:
    """Return the arguments of ``collect_case_results``: one call for all models, whose test cohorts are looked at once."""
    every = tuple(one for group in arms.values() for one in group)
    return [(workspace, result.recipe.name, result.cohorts, result.recipe.task, every)]


def card_calls(workspace: Workspace, result: RecipeResult, arms: Arms) -> list[Call]:
    """Return the arguments of ``summarise``, one call an arm."""
    return [(workspace, result.recipe.name, result.cohorts, group) for group in arms.values()]


def comparison_calls(workspace: Workspace, result: RecipeResult, arms: Arms) -> list[Call]:
    """Return the arguments of ``compare_arms``: each student arm with the baselines before it, or with the arm before it if there is none."""
    students = [arm for arm, group in arms.items() if group[0].role == "student"]
    calls: list[Call] = []
    for place, arm in enumerate(students[1:], 1):
        earlier = students[:place]
        for baseline in [one for one in BASELINES if one in earlier] or earlier[-1:]:
            calls.append((workspace, result.cohorts, arms[arm], arms[baseline], _teacher(arms, baseline)))
    return calls


def _teacher(arms: Arms, baseline: str) -> tuple[Evaluation, ...]:
    """Return the teacher's evaluations where the baseline is the student alone: the gap between the two is what distillation closes."""
    return next((group for group in arms.values() if group[0].role == "teacher"), ()) if baseline == BASELINES[0] else ()


def calibration_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``calibrate``, one call a student; none where no validation cases are held back, and of detectors."""
    if calibration_subset(result.cohorts) is None or result.recipe.task.kind is TaskKind.DETECTION:
        return []
    return [(workspace, result.recipe.name, result.cohorts, student) for student in result.students]


def training_features_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``describe_training``, one call a student: the cases of its own subsets, unlabelled ones where its arm learns from them; none of detectors."""
    calls: list[Call] = []
    for student in result.students if result.recipe.task.kind is not TaskKind.DETECTION else ():
        own, unlabelled = Subset.STUDENT_TRAIN.of(student.seed), Subset.UNLABELLED.of(student.seed)
        used = tuple(subset for subset in (own, unlabelled) if subset in result.cohorts.uses)
        if used:
            used = used if result.recipe.arms[student.arm].unlabelled else used[:1]
            calls.append((workspace, result.recipe.name, result.cohorts.only(*used), student, used))
    return calls


def loss_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``state_loss``, one call a student; none where the teacher is not here, of detectors, and of networks with two heads."""
    teacher = result.teacher or result.reference
    if teacher is None or result.recipe.task.kind is TaskKind.DETECTION or result.recipe.task.case_classes:
        return []
    results = {one.weights_digest: one for one in result.case_results}
    digests = (student.weights_digest for student in result.students)
    return [(workspace, results[teacher.weights_digest], results[digest], result.calibrations) for digest in digests]


def explanation_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``explain_cohort``: every student beside its teacher, those of further seeds on fewer cases;
    each head of a network with two by itself."""
    spec = result.recipe.explanation()
    if not spec.task.case_classes:
        return _explanation_calls(workspace, result, spec)
    segmented = spec.model_copy(update={"task": spec.task.without_cases()})
    classified = spec.model_copy(update={"name": f"{spec.name}-classification", "task": spec.task.of_cases()})
    return [call for one in (segmented, classified) for call in _explanation_calls(workspace, result, one)]


def _explanation_calls(workspace: Workspace, result: RecipeResult, spec: ExplainSpec) -> list[Call]:
    teacher = result.require_teacher()
    fewer = spec.model_copy(update={"explain": spec.explain.model_copy(update={"cases": further_cases(spec.explain.cases)})})
    return [
        (workspace, chosen, result.cohorts, student, teacher, siblings_of(chosen, student, result.students))
        for student in result.students
        for chosen in [spec if student.seed == result.recipe.seeds[0] else fewer]
    ]


def further_cases(cases: int) -> int:
    """Return on how many cases a student of a further seed is explained: enough for the tests of its explainers, at a quarter of the cost."""
    return min(cases, max(2, cases // 4))
