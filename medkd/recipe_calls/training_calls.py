"""What a recipe trains: calls for its teachers, for what they are asked and store, and for its students."""

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
    KnowledgeError,
    KnowledgeRef,
    KnowledgeSet,
    Lineage,
    Recipe,
    Subset,
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
from medkd.evaluation.gate_teacher import refusal
from medkd.registry.recipe_result import RecipeResult, TeacherKnowledge
from medkd.storage.workspace import Workspace

_LOG = logging.getLogger("medkd")
#: Arguments of one call of a stage.
Call = tuple[Any, ...]


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
    by_arm = {one.arm: one for one in result.teachers}
    wanted = [network.arm for network in networks_of(result.recipe, teacher)]
    if any(arm not in by_arm or f"{result.recipe.name}/{arm}" in refused for arm in wanted):
        return ()
    return tuple(by_arm[arm] for arm in wanted)


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
            _with_starting_weights(recipe.student_training(arm, seed), result),
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


def _with_starting_weights(spec: TrainingSpec, result: RecipeResult) -> TrainingSpec:
    """Return a training with the weights that it begins with, where its arm asks for some."""
    if spec.objective.init != "pretrained" or not result.starts:
        return spec
    return spec.model_copy(update={"start": result.starts[result.recipe.seeds.index(spec.seed)]})


def starting_calls(workspace: Workspace, result: RecipeResult) -> list[Call]:
    """Return the arguments of ``starting_weights``, one call a seed; none where no arm begins with pretrained weights."""
    if all(arm.init != "pretrained" for arm in result.recipe.arms.values()):
        return []
    return [(workspace, result.recipe, seed, result.cohorts) for seed in result.recipe.seeds]
