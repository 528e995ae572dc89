"""What is measured of what a recipe trained: calls for scores, comparisons, calibrations, losses against the teacher, and explanations."""

from __future__ import annotations

from collections.abc import Iterable

from data_contracts import (
    Checkpoint,
    Evaluation,
    ExplainSpec,
    Subset,
    TaskKind,
)
from medkd.evaluation.calibrate import calibration_subset
from medkd.explanation.explain_cohort import siblings_of
from medkd.recipe_calls.training_calls import Call
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace

Arms = dict[str, tuple[Evaluation, ...]]

#: Arms that others are compared with, where a recipe has them: the student without a teacher, and plain soft labels.
BASELINES = ("alone", "kd")


def evaluation_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``evaluate_model``, the teacher first; each head of a network with two beside the teacher that has it."""
    of_cases = case_teacher(result)
    calls: list[Call] = []
    for model in result.evaluated:
        classifies = of_cases is not None and model.task == of_cases.task
        teacher = of_cases if classifies else result.evaluated[0]
        also = (of_cases,) if of_cases is not None and model.task.case_classes else ()
        calls.append((workspace, result.recipe.name, result.cohorts, model, teacher, *also))
    return calls


def case_teacher(result: RecipeResult) -> Checkpoint | None:
    """Return the first teacher that has the head alone that classifies, of a recipe whose teachers have one head each; None of others."""
    if result.recipe.teacher.head is None:
        return None
    return next((one for one in result.teachers if one.task == result.recipe.task.of_cases()), None)


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
        arm = result.recipe.arms.get(student.arm)
        own, unlabelled = Subset.learnt_from("real" if arm is None else arm.cases, student.seed), Subset.UNLABELLED.of(student.seed)
        used = tuple(subset for subset in (own, unlabelled) if subset in result.cohorts.uses)
        if used:
            # A student that compression trained is of no arm: it was tuned on labelled cases alone.
            used = used if arm is not None and arm.unlabelled else used[:1]
            calls.append((workspace, result.recipe.name, result.cohorts.only(*used), student, used))
    return calls


def loss_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``state_loss``, one call a student; none where the teacher is not here, of detectors, and of networks with two heads."""
    teacher = result.teacher or result.reference
    if teacher is None or result.recipe.task.kind is TaskKind.DETECTION or result.recipe.task.case_classes:
        return []
    results = {one.weights_digest: one for one in result.case_results}
    measure = results[teacher.weights_digest]
    # Against the first that it learned from; against the recipe's teacher where that is none of these networks.
    return [
        (workspace, results.get(student.teacher_digest or "", measure), results[student.weights_digest], result.calibrations)
        for student in result.students
    ]


def explanation_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``explain_cohort``: every student beside its teacher, those of further seeds on fewer cases;
    each head of a network with two by itself."""
    spec = result.recipe.explanation()
    if not spec.task.case_classes:
        return _explanation_calls(workspace, result, spec, result.require_teacher())
    segmented = spec.model_copy(update={"task": spec.task.without_cases()})
    classified = spec.model_copy(update={"name": f"{spec.name}-classification", "task": spec.task.of_cases()})
    teacher = result.require_teacher()
    # Each head beside the teacher that has it.
    asked = ((segmented, teacher), (classified, case_teacher(result) or teacher))
    return [call for one, above in asked for call in _explanation_calls(workspace, result, one, above)]


def _explanation_calls(workspace: Workspace, result: RecipeResult, spec: ExplainSpec, teacher: Checkpoint) -> list[Call]:
    fewer = spec.model_copy(update={"explain": spec.explain.model_copy(update={"cases": further_cases(spec.explain.cases)})})
    return [
        (workspace, chosen, result.cohorts, student, teacher, siblings_of(chosen, student, result.students))
        for student in result.students
        for chosen in [spec if student.seed == result.recipe.seeds[0] else fewer]
    ]


def further_cases(cases: int) -> int:
    """Return on how many cases a student of a further seed is explained: enough for the tests of its explainers, at a quarter of the cost."""
    return min(cases, max(2, cases // 4))
