"""Who teaches an arm that asks several teachers, folds of one, its own averaged weights or a peer: put together from what was trained or stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from data_contracts import (
    Arm,
    AttributionSource,
    CohortSet,
    KnowledgeError,
    KnowledgeRef,
    KnowledgeSet,
    Subset,
    TeacherSet,
    TrainingSpec,
)
from medkd.cohorts.patient_folds import patient_folds
from medkd.cohorts.tensor_cohort import TensorCohort, patient_codes, patients_of
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.knowledge.folds import FoldSource
from medkd.knowledge.heads_source import HeadsSource
from medkd.knowledge.mixture_source import ControlledSource, MixtureSource
from medkd.knowledge.online import EmaSource, PeerSource
from medkd.knowledge.source import KnowledgeSource, LiveSource
from medkd.knowledge.stored import StoredSource, with_teacher_outputs
from medkd.knowledge.stored_set import CohortWithSeveralTeachers, StoredMember
from medkd.models._build import build_network, specify_network
from medkd.models._inputs import load_shown, picking
from medkd.seeds import derive_seed
from medkd.storage.workspace import Workspace
from medkd.training.requirements import Requirements, requirements_of

Cases = TensorCohort | VolumeCohort


@dataclass(frozen=True)
class SeveralTeachers:
    """Several teachers as one source.

    Attributes:
        source: what the loop asks.
        digests: of the weights of those that were trained before, in the order of the arm.
        key: what a state of a training under these teachers is found by: weights, and figures that weigh them.
    """

    source: KnowledgeSource
    digests: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class TeachersRequest:
    """What an arm's teachers are put together for.

    Attributes:
        workspace: where weights and shards lie.
        spec: of the student's training.
        begin: returns a network of the student's build: for "" with its own first weights, for another word with others.
        cohorts: of the recipe; needed for answers out of fold.
        networks: what was trained; None where nothing the arm asks was.
        stored: what they stored, for an arm that reads a store.
    """

    workspace: Workspace
    spec: TrainingSpec
    begin: Callable[[str], nn.Module]
    cohorts: CohortSet | None
    networks: TeacherSet | None
    stored: KnowledgeSet | None


def several_teachers(request: TeachersRequest, cohort: Cases) -> tuple[Cases | CohortWithSeveralTeachers, SeveralTeachers]:
    """Return the cohort, with what stores say of it, and its teachers.

    Raises:
        KnowledgeError: ``TEACHER_MISSING`` when a teacher of the arm is not there, ``KNOWLEDGE_MISSING`` and ``KNOWLEDGE_FOREIGN`` when what it stored is
            not, or is another's, ``FOLD_UNKNOWN`` when nobody knows whom folds were trained on.
    """
    arm, networks = request.spec.objective, request.networks

    def networks_of(name: str) -> Sequence[KnowledgeSource]:
        return tuple(_stored(request, name) if arm.knowledge == "store" else _live(request, name))

    source = put_together(
        arm,
        networks_of,
        request.begin,
        request.spec.task.classes,
        figures=_figures(request),
        held_out=_held_out(request),
        classifying=_classifying(request),
    )
    digests = request.stored.digests if request.stored is not None else () if networks is None else networks.digests
    carried = cohort if request.stored is None else _with_answers(request, request.stored, cohort, source)
    if arm.attribution_source is not AttributionSource.TEACHER:
        source = ControlledSource(source, arm.attribution_source, _random_teacher(request))
    figures = {} if networks is None else networks.class_figures
    shards = () if request.stored is None else tuple(record.digest() for _, record in request.stored.parts)
    return carried, SeveralTeachers(source, digests, f"{digests}{figures}{shards}")


def put_together(
    arm: Arm,
    networks_of: Callable[[str], Sequence[KnowledgeSource]],
    begin: Callable[[str], nn.Module],
    classes: Sequence[str],
    *,
    figures: Mapping[str, Mapping[str, float | None]] | None = None,
    held_out: Callable[[int], Sequence[frozenset[int]]] = lambda _folds: (),
    classifying: frozenset[str] = frozenset(),
) -> KnowledgeSource:
    """Return the teachers of an arm as one source.

    Args:
        arm: who is asked, and how answers are weighed.
        networks_of: returns the sources of a trained teacher's networks by its name; several are folds of one.
        begin: as :class:`TeachersRequest` has it.
        classes: of the task, in order.
        figures: of each teacher by class, for weights by validation.
        held_out: returns the codes of each fold's patients, for so many folds.
        classifying: teachers that have the head alone that classifies, of a student of two heads.

    Raises:
        KnowledgeError: ``TEACHER_MISSING`` or, of a store, ``KNOWLEDGE_MISSING`` for a teacher without networks.
    """
    members: dict[str, KnowledgeSource] = {}
    for name in arm.teachers:
        if name == "ema":
            members[name] = averaged = EmaSource(arm.ema_decay)
            averaged.begin(begin(""))
        elif name == "peer":
            members[name] = PeerSource(begin("peer"))
        else:
            own = networks_of(name)
            if not own:
                raise KnowledgeError(*_missing(name, arm))
            members[name] = own[0] if len(own) == 1 else FoldSource(own, held_out(len(own)), out_of_fold=arm.out_of_fold)

    def together(chosen: Mapping[str, KnowledgeSource]) -> KnowledgeSource:
        return MixtureSource(chosen, arm.weighting, figures=figures, classes=classes) if len(chosen) > 1 else next(iter(chosen.values()))

    of_cases = {name: member for name, member in members.items() if name in classifying}
    if not of_cases:
        return together(members)
    return HeadsSource(together({name: member for name, member in members.items() if name not in classifying}), together(of_cases))


def _classifying(request: TeachersRequest) -> frozenset[str]:
    """Return the teachers that answer for the head alone that classifies."""
    if not request.spec.task.case_classes or request.networks is None:
        return frozenset()
    return frozenset(name for name, checkpoint in request.networks.networks if not checkpoint.task.kind.is_dense)


def _missing(name: str, arm: Arm) -> tuple[str, str]:
    if arm.knowledge == "live":
        return (
            "TEACHER_MISSING",
            f"expected the teacher {name!r} of an arm to be trained here, it is not: knowledge: store asks what it stored",
        )
    return "KNOWLEDGE_MISSING", f"expected what the teacher {name!r} of an arm stored, it was not asked, or its answers are not here"


def _live(request: TeachersRequest, name: str) -> Iterator[KnowledgeSource]:
    for checkpoint in () if request.networks is None else request.networks.of(name):
        yield LiveSource(load_shown(request.workspace, checkpoint, request.spec.shown_task))


def _stored(request: TeachersRequest, name: str) -> Iterator[KnowledgeSource]:
    stored = request.stored
    if stored is None:
        return
    if request.networks is not None and request.networks.digests != stored.digests:
        raise KnowledgeError(
            "KNOWLEDGE_FOREIGN",
            f"expected knowledge of the teachers {[one[:12] for one in request.networks.digests]} of arm {request.spec.arm!r}, it is of "
            f"{[one[:12] for one in stored.digests]}: extract it from these teachers, in the arm's order",
        )
    spec = request.spec
    for number, (teacher, record) in enumerate(stored.parts):
        if teacher == name:
            yield StoredMember(StoredSource(record, spec.task.classes, class_map=spec.class_map), number)


def _held_out(request: TeachersRequest) -> Callable[[int], Sequence[frozenset[int]]]:
    """Return what says whose patients each of so many folds was trained without; nobody's unless the arm asks out of fold."""
    if not request.spec.objective.out_of_fold:
        return lambda _folds: ()
    if request.cohorts is None or Subset.TEACHER_TRAIN not in request.cohorts.uses:
        known = [] if request.cohorts is None else sorted(request.cohorts.uses)
        raise KnowledgeError("FOLD_UNKNOWN", f"expected the teachers' training cases for answers out of fold, the cohorts are {known}")
    patients = patients_of(request.cohorts, [Subset.TEACHER_TRAIN], request.workspace.store)
    return lambda folds: tuple(frozenset(patient_codes(fold).tolist()) for fold in patient_folds(patients, folds))


def _figures(request: TeachersRequest) -> dict[str, Mapping[str, float | None]]:
    """Return what the gate measured of each teacher per class, the mean of its folds.

    Raises:
        KnowledgeError: ``TEACHER_UNMEASURED`` when an arm weighs by figures that a teacher has not.
    """
    arm, networks = request.spec.objective, request.networks
    found: dict[str, Mapping[str, float | None]] = {}
    if arm.weighting != "validation":
        return found
    for name in arm.teachers:
        measured = [] if networks is None else [networks.class_figures.get(one.arm, {}) for one in networks.of(name)]
        if not measured or not all(measured):
            raise KnowledgeError(
                "TEACHER_UNMEASURED",
                f"expected per-class figures of {name!r} on the gate's cases for the arm {request.spec.arm!r}, there are none: use another weighting",
            )
        found[name] = {label: _mean([one[label] for one in measured]) for label in measured[0]}
    return found


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _with_answers(request: TeachersRequest, stored: KnowledgeSet, cohort: Cases, source: KnowledgeSource) -> CohortWithSeveralTeachers:
    """Return the cohort with every store's answers; what is missing is said now."""
    spec = request.spec
    needed = requirements_of(spec.objective, spec.shown_task, request.begin(""), source)
    answers = Requirements(logits=True, maps=needed.maps)
    parts: list[tuple[KnowledgeRef, Requirements]] = [(record, answers) for _, record in stored.parts]
    if stored.parts[0][0] == spec.objective.teachers[0]:
        parts[0] = (parts[0][0], Requirements(logits=True, layers=needed.layers, maps=needed.maps))
    return CohortWithSeveralTeachers(
        tuple(
            with_teacher_outputs(cohort, record, request.workspace.store, own.parts(), resolution=spec.resolution or "full")
            for record, own in parts
        )
    )


def _random_teacher(request: TeachersRequest) -> nn.Module | None:
    if request.spec.objective.attribution_source is not AttributionSource.RANDOM_TEACHER:
        return None
    networks = request.networks
    own, spec = request.spec.task, specify_network(request.spec.network, request.spec.task)
    if networks is not None:
        own, spec = networks.first.task, networks.first.network
    return picking(build_network(spec, seed=derive_seed("stranger")), own, request.spec.shown_task).eval()
