"""Which calls of which stage a recipe stands for. Who makes them is another's choice: flows side by side, :func:`medkd.distill` one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from data_contracts import (
    BUILT_IN_TEACHERS,
    ONE_TEACHER,
    ONLINE_TEACHERS,
    Arm,
    Checkpoint,
    Evaluation,
    ExplainSpec,
    KnowledgeError,
    KnowledgeRef,
    KnowledgeSet,
    Lineage,
    Recipe,
    Subset,
    TaskKind,
    TeacherGateError,
    TeacherSet,
    TrainingSpec,
    network_called,
    networks_of,
    stored_readers,
    student_rounds,
    teacher_named,
    teacher_rounds,
)
from medkd.evaluation.calibrate import calibration_subset
from medkd.evaluation.gate_teacher import refusal
from medkd.explanation.explain_cohort import siblings_of
from medkd.registry.recipe_result import RecipeResult, TeacherKnowledge
from medkd.storage.workspace import Workspace

_LOG = logging.getLogger("medkd")
#: Arguments of one call of a stage.
Call = tuple[Any, ...]
Arms = dict[str, tuple[Evaluation, ...]]

#: Arms that others are compared with, where a recipe has them: the student without a teacher, and plain soft labels.
BASELINES = ("alone", "kd")


def teacher_call(workspace: Workspace, result: RecipeResult) -> Call:
    """Return the arguments of ``train_teacher``."""
    return workspace, result.recipe.teacher_training(), result.cohorts


def gate_call(workspace: Workspace, result: RecipeResult, network: Checkpoint | None = None) -> Call:
    """Return the arguments of ``judge_teacher`` for the teacher, or a network of a further one."""
    judged, recipe = network or result.require_teacher(), result.recipe
    teacher = "teacher" if network is None else network_called(recipe, network.arm).teacher
    # Per class only where an arm weighs by it: it costs a pass over the gate's cases.
    weighed = any(arm.weighting == "validation" and teacher in arm.teachers for arm in recipe.arms.values())
    return workspace, recipe.name, teacher_named(recipe, teacher).gate, result.cohorts, judged, *((True,) if weighed else ())


def further_teacher_calls(workspace: Workspace, result: RecipeResult, number: int) -> list[Call]:
    """Return the arguments of ``train_teacher`` for the networks of a round; what would learn from a refused teacher is left out."""
    recipe, calls = result.recipe, list[Call]()
    for network in teacher_rounds(recipe)[number]:
        above = teacher_named(recipe, network.teacher).learns_from
        known = () if above is None else networks_trained(result, above)
        if above is None or known:
            calls.append((workspace, recipe.teacher_training(network), result.cohorts, *known))
    return calls


def networks_trained(result: RecipeResult, teacher: str) -> tuple[Checkpoint, ...]:
    """Return the networks of a teacher that may be copied, all of them or none: one fold that is refused refuses the teacher."""
    if teacher == "teacher":
        # Where the gate refuses it, the run has ended.
        return () if result.teacher is None else (result.teacher,)
    refused = {verdict.subject for verdict in result.verdicts if refusal(verdict)}
    by_arm_ = {one.arm: one for one in result.teachers}
    wanted = [network.arm for network in networks_of(result.recipe, teacher)]
    if any(arm not in by_arm_ or f"{result.recipe.name}/{arm}" in refused for arm in wanted):
        return ()
    return tuple(by_arm_[arm] for arm in wanted)


def stopped_arms(result: RecipeResult) -> dict[str, str]:
    """Return the arms that are not trained because a further teacher that they ask may not be copied, with that teacher's name."""
    recipe, stopped = result.recipe, dict[str, str]()
    lacking = {name for name in recipe.teachers if not networks_trained(result, name)} if result.teachers else set()
    for arms in student_rounds(recipe):
        for name in arms:
            arm = recipe.arms[name]
            found = next((teacher for teacher in arm.teachers if teacher in lacking), None)
            if found is None and "self" in arm.teachers:
                found = stopped.get(arm.self_arm)
            if found is not None:
                stopped[name] = found
    return stopped


def say_stopped(result: RecipeResult) -> None:
    """Say in the log which arms are not trained.

    Raises:
        TeacherGateError: ``TEACHER_REFUSED`` when no arm is left.
    """
    stopped = stopped_arms(result)
    sentences = [sentence for verdict in result.verdicts[1:] if (sentence := refusal(verdict))]
    if len(stopped) == len(result.recipe.arms):
        raise TeacherGateError("TEACHER_REFUSED", "; ".join(sentences))
    for arm, teacher in stopped.items():
        _LOG.warning("TEACHER_REFUSED: arm %s is not trained, it asks the teacher %s: %s", arm, teacher, "; ".join(sentences))


def teachers_of(result: RecipeResult, recipe: Recipe, arm: str, seed: int) -> Checkpoint | TeacherSet | None:
    """Return the trained networks that an arm asks under a seed: one, several, or none.

    Args:
        result: with teachers, and with the students whose students are asked for.
        recipe: that has the arm: the result's, or a variant of it.
        arm: of the recipe.
        seed: of the student.
    """
    objective = recipe.arms[arm]
    if objective.teachers == ONE_TEACHER:
        return result.teacher
    found: list[tuple[str, Checkpoint]] = []
    for name in objective.teachers:
        if name == "self":
            found += [("self", one) for one in result.students if (one.arm, one.seed) == (objective.self_arm, seed)]
        elif name not in ONLINE_TEACHERS:
            found += [(name, one) for one in networks_trained(result, name)]
    if len(found) == 1 == len(objective.teachers):
        return found[0][1]
    figures = {verdict.subject.rpartition("/")[2]: verdict.class_figures for verdict in result.verdicts}
    weighed = {one.arm: figures.get(one.arm, {}) for _, one in found} if objective.weighting == "validation" else {}
    return TeacherSet(networks=tuple(found), class_figures=weighed) if found else None


def knowledge_for(result: RecipeResult, arm: Arm) -> KnowledgeRef | KnowledgeSet | None:
    """Return what the trained teachers of an arm stored; None for an arm that reads no store."""
    if arm.knowledge != "store":
        return None
    if result.fetched:
        parts = fetched_parts(result, arm)
        return parts[0][1] if len(parts) == 1 == len(arm.teachers) else KnowledgeSet(parts=tuple(parts))
    if arm.teachers == ONE_TEACHER:
        return result.knowledge
    records = {one.teacher_digest: one for one in (result.knowledge, *result.further_knowledge) if one is not None}
    asked = [name for name in arm.teachers if name not in BUILT_IN_TEACHERS]
    found = [
        (name, records[one.weights_digest]) for name in asked for one in networks_trained(result, name) if one.weights_digest in records
    ]
    if not found:
        # At a site without the teachers there is what was fetched.
        return result.knowledge
    return found[0][1] if len(found) == 1 == len(arm.teachers) else KnowledgeSet(parts=tuple(found))


def fetched_parts(result: RecipeResult, arm: Arm) -> list[tuple[str, KnowledgeRef]]:
    """Return what was fetched of the trained teachers of an arm, in its order.

    Raises:
        KnowledgeError: ``KNOWLEDGE_MISSING`` for a teacher, or a fold of one, of which none was named.
    """
    asked = [name for name in arm.teachers if name not in BUILT_IN_TEACHERS]
    parts = [(name, one.record) for name in asked for one in result.fetched if one.teacher == name]
    for name in asked:
        there, wanted = sum(own == name for own, _ in parts), len(networks_of(result.recipe, name))
        if there != wanted:
            raise KnowledgeError(
                "KNOWLEDGE_MISSING",
                f"expected what {wanted} network(s) of the teacher {name!r} stored for arms that ask {list(arm.teachers)}, got {there}: name the "
                "knowledge of each with --knowledge, as medkd extract-knowledge printed it",
            )
    return parts


def named_knowledge(recipe: Recipe, fetched: Sequence[tuple[KnowledgeRef, Lineage]]) -> tuple[TeacherKnowledge, ...]:
    """Return registered knowledge under the name of the recipe's teacher that it is of, in the order of the recipe's networks.

    The registered name of a teacher ends in what its network is called by in the recipe (``RECIPE-teacher_second``). Of a recipe with one teacher any
    knowledge is that teacher's; of another, one that is called otherwise, too.

    Raises:
        KnowledgeError: ``KNOWLEDGE_FOREIGN`` for knowledge of none of its teachers, or of one twice.
    """
    networks = [network for name in ("teacher", *recipe.teachers) for network in networks_of(recipe, name)]
    taken: dict[str, TeacherKnowledge] = {}
    for record, version in fetched:
        called = record.teacher.name.rpartition("-")[2] if recipe.teachers and record.teacher is not None else ""
        network = next((one for one in networks if one.arm == called), networks[0])
        if network.arm in taken:
            raise KnowledgeError(
                "KNOWLEDGE_FOREIGN",
                f"expected the knowledge of each teacher of {recipe.name} once, {sorted(one.arm for one in networks)}, got {version.uri} beside {taken[network.arm].version.uri}: leave one out",
            )
        taken[network.arm] = TeacherKnowledge(network.teacher, record, version)
    return tuple(taken[network.arm] for network in networks if network.arm in taken)


def synthesis_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``synthesise_cohorts``; none where all arms see cases, or where the pictures are there.

    Raises:
        KnowledgeError: ``SYNTHESIS_TEACHER`` at a site without the teacher's weights.
    """
    spec = result.recipe.synthesis()
    if spec is None or all(Subset.learnt_from(kind, seed) in result.cohorts.uses for kind in spec.kinds for seed in spec.seeds):
        return []
    if result.teacher is None:
        raise KnowledgeError(
            "SYNTHESIS_TEACHER",
            f"expected the weights of the teacher of {result.recipe.name} to synthesise cases from, there is only what it stored: make students of "
            "synthesised cases where the teacher is, or let the arms see real cases here",
        )
    return [(workspace, spec, result.cohorts, result.teacher)]


def every_knowledge_call(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``extract_knowledge`` for every network of a teacher that an arm asks, whether it reads a store here or elsewhere."""
    recipe = result.recipe
    asked = {name for arm in recipe.arms.values() for name in arm.teachers}
    return [
        (workspace, recipe.extraction(name), result.cohorts, network)
        for name in ("teacher", *recipe.teachers)
        if name in asked
        for network in networks_trained(result, name)
    ]


def knowledge_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``extract_knowledge`` for every network of a teacher that an arm reads a store of: each is asked by itself."""
    recipe = result.recipe
    return [
        (workspace, recipe.extraction(name), result.cohorts, network)
        for name in ("teacher", *recipe.teachers)
        if stored_readers(recipe, name)
        for network in networks_trained(result, name)
    ]


def with_knowledge(result: RecipeResult, records: Sequence[KnowledgeRef]) -> RecipeResult:
    """Return a result with what was extracted, each beside its teacher."""
    if not result.recipe.teachers:
        return replace(result, knowledge=records[0] if records else None)
    own = [one for one in records if result.teacher is not None and one.teacher_digest == result.teacher.weights_digest]
    return replace(result, knowledge=own[0] if own else None, further_knowledge=tuple(one for one in records if one not in own))


def reads_store(recipe: Recipe) -> bool:
    """Return whether an arm of a recipe reads a store: then its teachers' knowledge is extracted first."""
    return any(arm.knowledge == "store" for arm in recipe.arms.values())


def student_calls(workspace: Workspace, result: RecipeResult, number: int = 0) -> list[Call]:
    """Return the arguments of ``distill`` for the arms of a round, in their order and then that of the seeds."""
    recipe, stopped = result.recipe, stopped_arms(result)
    return [
        (
            workspace,
            _begun(recipe.student_training(arm, seed), result),
            result.cohorts,
            teachers_of(result, recipe, arm, seed),
            knowledge_for(result, recipe.arms[arm]),
        )
        for arm in student_rounds(recipe)[number]
        if arm not in stopped
        for seed in recipe.seeds
    ]


def in_order(recipe: Recipe, students: Iterable[Checkpoint]) -> tuple[Checkpoint, ...]:
    """Return students in the order of the recipe's arms, and then of the seeds."""
    if len(student_rounds(recipe)) < 2:
        return tuple(students)  # they were trained in that order
    arms = list(recipe.arms)
    return tuple(sorted(students, key=lambda one: (arms.index(one.arm), recipe.seeds.index(one.seed))))


def _begun(spec: TrainingSpec, result: RecipeResult) -> TrainingSpec:
    """Return a training with the weights that it begins with, where its arm asks for some."""
    if spec.objective.init != "pretrained" or not result.starts:
        return spec
    return spec.model_copy(update={"start": result.starts[result.recipe.seeds.index(spec.seed)]})


def starting_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``starting_weights``, one call a seed; none where no arm begins with pretrained weights."""
    if all(arm.init != "pretrained" for arm in result.recipe.arms.values()):
        return []
    return [(workspace, result.recipe, seed, result.cohorts) for seed in result.recipe.seeds]


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
