"""Stages that train: a teacher from labels, a student from labels and a teacher."""

from __future__ import annotations

from data_contracts import (
    ONLINE_TEACHERS,
    Checkpoint,
    CohortSet,
    FeedbackDirectives,
    KnowledgeError,
    KnowledgeRef,
    KnowledgeSet,
    Subset,
    TakenWeights,
    TeacherSet,
    TrainingSpec,
)
from medkd.cohorts.hidden_classes import hide_classes
from medkd.cohorts.open_cohort import open_for_training
from medkd.cohorts.patient_folds import without_fold
from medkd.cohorts.tensor_cohort import TensorCohort, concatenate
from medkd.cohorts.volume_cohort import VolumeCohort, concatenate_volumes
from medkd.evaluation.validate import validation
from medkd.knowledge.stored import StoredSource, with_teacher_outputs
from medkd.models._build import parameter_count
from medkd.models._inputs import picked
from medkd.models._load import load_network
from medkd.models._take_weights import take_weights
from medkd.models._tucker import factorised, share_for
from medkd.storage.stage import stage
from medkd.storage.workspace import Workspace
from medkd.training.objective import Objective
from medkd.training.processes import in_processes
from medkd.training.requirements import requirements_of
from medkd.training.several_teachers import TeachersRequest, several_teachers
from medkd.training.training_run import InitialNetwork, TrainingRun, TrainingSetup, load_teacher


@stage
@in_processes
def train_teacher(workspace: Workspace, spec: TrainingSpec, cohorts: CohortSet, teacher: Checkpoint | None = None) -> Checkpoint:
    """Train a teacher on ``teacher_train``, or on all of it but one fold of the patients, and store its weights.

    Args:
        workspace: where files go.
        spec: ``recipe.teacher_training(network)``.
        cohorts: prepared cohorts.
        teacher: that its own terms read, of a teacher assistant.
    """
    cohort = without_fold(open_for_training(cohorts, Subset.TEACHER_TRAIN, workspace.store, spec.shown_task), spec.fold)
    figure = None if spec.selection is None else validation(cohorts, workspace.store, spec)
    run = TrainingRun(workspace, spec)
    return run.run(
        setup_training(run, cohort, teacher, None),
        Objective(spec.objective.terms),
        cohort_digest=cohorts.uses[Subset.TEACHER_TRAIN].cohort.sha256,
        validate=figure,
    )


@stage
@in_processes
def distill(
    workspace: Workspace,
    spec: TrainingSpec,
    cohorts: CohortSet,
    teacher: Checkpoint | TeacherSet | None,
    knowledge: KnowledgeRef | KnowledgeSet | None = None,
    directives: FeedbackDirectives | None = None,
) -> Checkpoint:
    """Train one student: the arm's objective on ``student_train/SEED``, and on ``unlabelled/SEED`` where the arm may use it.

    An arm that reads a store needs its knowledge and not the teacher's weights. With directives the student follows what readers said of
    an earlier one: without any, training is what it was, bit by bit.

    Args:
        workspace: where files go.
        spec: ``recipe.student_training(arm, seed)``.
        cohorts: prepared cohorts.
        teacher: live teacher, or several; None where there is only a store, or all that teaches comes about in training.
        knowledge: what was extracted of it, or of each of them.
        directives: of the feedback on an earlier student; a term that reads them is one of the spec's.
    """
    digest = None if directives is None else directives.digest()
    run = TrainingRun(workspace, spec, feedback=digest)
    setup = setup_training(run, student_cohort(workspace, spec, cohorts, directives), teacher, knowledge, cohorts)
    figure = None if spec.selection is None else validation(cohorts, workspace.store, spec)
    init_network, taken = None, None
    if spec.objective.init == "compressed_teacher":
        init_network = compressed(run, teacher)
    elif spec.objective.init == "pretrained":
        init_network, taken = pretrained(run)
    cohort_digest = cohorts.uses[Subset.learnt_from(spec.objective.cases, spec.seed)].cohort.sha256
    objective = Objective(spec.objective.terms, influence_cap=None if directives is None else directives.influence_cap)
    trained = run.run(setup, objective, cohort_digest=cohort_digest, init_network=init_network, validate=figure)
    return trained.model_copy(update={"pretrained": taken})


def compressed(run: TrainingRun, teacher: Checkpoint | TeacherSet | None) -> InitialNetwork:
    """Return the teacher compressed to at most the student's number of parameters.

    Raises:
        KnowledgeError: ``TEACHER_MISSING`` when there are no weights to compress.
    """
    if teacher is None:
        raise KnowledgeError("TEACHER_MISSING", f"expected a teacher to compress for the arm {run.spec.arm!r}, there is only a store")
    teacher = teacher.first if isinstance(teacher, TeacherSet) else teacher
    network = load_network(run.workspace, teacher)
    share = share_for(network, parameter_count(run.begin()))
    return InitialNetwork(factorised(network, share), teacher.network.model_copy(update={"rank_ratio": share}))


def pretrained(run: TrainingRun) -> tuple[InitialNetwork, TakenWeights]:
    """Return the student's network with the weights that its training begins with, and which those are.

    Raises:
        KnowledgeError: ``STARTING_WEIGHTS_MISSING`` when none were made; as :func:`take_weights`.
    """
    if run.spec.start is None:
        raise KnowledgeError(
            "STARTING_WEIGHTS_MISSING", f"expected weights that the arm {run.spec.arm!r} begins with, none were made: run the whole recipe"
        )
    network = run.begin()
    taken = take_weights(picked(network), run.network.builder, run.spec.start, run.workspace)
    return InitialNetwork(network, run.network), taken


def setup_training(
    run: TrainingRun,
    cohort: TensorCohort | VolumeCohort,
    teacher: Checkpoint | TeacherSet | None,
    knowledge: KnowledgeRef | KnowledgeSet | None,
    cohorts: CohortSet | None = None,
) -> TrainingSetup:
    """Return who teaches an arm: a live teacher, a store, several of them, or nobody; all that can be missing is said here.

    ``cohorts`` say whom the networks of folds were trained on, for answers out of fold.

    Raises:
        KnowledgeError: ``KNOWLEDGE_MISSING`` when the arm reads a store and none is given, or it lacks something;
            ``KNOWLEDGE_FOREIGN`` when it is another teacher's; ``TEACHER_MISSING`` when a live teacher is asked and none is given.
    """
    spec, arm = run.spec, run.spec.objective
    objective = Objective(arm.terms)
    if "teacher" not in objective.needs:
        return TrainingSetup(cohort)
    if (
        isinstance(teacher, TeacherSet)
        or isinstance(knowledge, KnowledgeSet)
        or ONLINE_TEACHERS & set(arm.teachers)
        or len(arm.teachers) > 1
    ):
        trained = next((name for name in arm.teachers if name not in ONLINE_TEACHERS), "teacher")
        networks = TeacherSet(networks=((trained, teacher),)) if isinstance(teacher, Checkpoint) else teacher
        stored = KnowledgeSet(parts=((trained, knowledge),)) if isinstance(knowledge, KnowledgeRef) else knowledge
        asked = TeachersRequest(run.workspace, spec, run.begin, cohorts, networks, stored)
        carried, several = several_teachers(asked, cohort)
        return TrainingSetup(carried, several=several)
    if arm.knowledge == "live":
        if teacher is None:
            raise KnowledgeError(
                "TEACHER_MISSING", f"expected a teacher for the arm {spec.arm!r}, there is only a store: set knowledge: store"
            )
        return TrainingSetup(cohort, load_teacher(run.workspace, objective, teacher, spec.shown_task))
    if knowledge is None:
        raise KnowledgeError("KNOWLEDGE_MISSING", f"expected knowledge for the arm {spec.arm!r}, none was extracted")
    source = StoredSource(knowledge, spec.task.classes, class_map=spec.class_map, attribution_source=arm.attribution_source)
    needed = requirements_of(arm, spec.shown_task, run.begin(), source)
    source.require_maps(needed.maps)
    digest = None if teacher is None else teacher.weights_digest
    knowledge_digest = with_teacher_outputs(
        cohort, knowledge, run.workspace.store, needed.parts(), teacher_digest=digest, resolution=spec.resolution or "full"
    )
    return TrainingSetup(knowledge_digest, stored=source)


def student_cohort(
    workspace: Workspace, spec: TrainingSpec, cohorts: CohortSet, directives: FeedbackDirectives | None = None
) -> TensorCohort | VolumeCohort:
    """Return what a student is trained on, with what readers said of the cases, and without the labels that it is never shown; or the pictures that
    stand in their place, and then nothing else."""
    subset = Subset.learnt_from(spec.objective.cases, spec.seed)
    cohort = _shown(open_for_training(cohorts, subset, workspace.store, spec.shown_task, directives), spec)
    if spec.objective.unlabelled and Subset.UNLABELLED.of(spec.seed) in cohorts.uses:
        # Both are of one kind, as one task opens them: the checks are for the types.
        extra = open_for_training(cohorts, Subset.UNLABELLED.of(spec.seed), workspace.store, spec.shown_task, directives)
        if isinstance(cohort, VolumeCohort) and isinstance(extra, VolumeCohort):
            return concatenate_volumes(cohort, extra)
        if isinstance(cohort, TensorCohort) and isinstance(extra, TensorCohort):
            return concatenate(cohort, extra)
    return cohort


def _shown(cohort: TensorCohort | VolumeCohort, spec: TrainingSpec) -> TensorCohort | VolumeCohort:
    keep = spec.hidden_cases == "unlabelled"
    if isinstance(cohort, VolumeCohort):  # both branches are one call: the types ask which it is
        return hide_classes(cohort, spec.task, spec.hidden_classes, keep_cases=keep)
    return hide_classes(cohort, spec.task, spec.hidden_classes, keep_cases=keep)
