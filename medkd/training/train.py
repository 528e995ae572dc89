"""Stages that train: a teacher from labels, a student from labels and a teacher."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import nn

from data_contracts import (
    Case,
    Checkpoint,
    CohortSet,
    Evidence,
    KnowledgeError,
    KnowledgeRef,
    NetworkSpec,
    Recipe,
    Role,
    StoreError,
    TrainingDomain,
)
from medkd.gpu_slot import gpu_slot
from medkd.knowledge.source import KnowledgeSource, LiveSource
from medkd.knowledge.stored import StoredSource, taught
from medkd.models._build import build_network, parameter_count
from medkd.models._tucker import factorised, share_for
from medkd.precision import resolve_precision, training_device
from medkd.training.fit import FitRequest, TrainingCohort, fit
from medkd.training.objective import Objective
from medkd.training.recipes import network_spec
from medkd.training.requirements import requirements_of
from medkd.training.validate import validation
from medkd.volumes.open_cohort import open_for_training
from medkd.volumes.phantom import derive_seed
from medkd.volumes.store import sha256_file
from medkd.volumes.tensor_cohort import TensorCohort, concatenate
from medkd.volumes.volume_cohort import VolumeCohort, concatenate_volumes
from medkd.workspace import Workspace, stage


@stage
def train_teacher(workspace: Workspace, recipe: Recipe, cohorts: CohortSet, bound: str) -> Checkpoint:
    """Train the teacher of a recipe on ``teacher_train`` and store its weights.

    Args:
        workspace: where files go.
        recipe: bound recipe.
        cohorts: prepared cohorts.
        bound: ``bound_digest(recipe)``: the recipe with the source of the entries it binds.
    """
    cohort = open_for_training(cohorts, "teacher_train", workspace.store, recipe.task)
    job = Job(workspace, recipe, Role.TEACHER, "teacher", recipe.teacher.seed, bound)
    figure = None if recipe.teacher.fit.patience is None else validation(cohorts, workspace.store, recipe.task, Role.TEACHER)
    return job.run(
        Lesson(cohort), Objective(recipe.teacher.terms), cohort_digest=cohorts.uses["teacher_train"].cohort.sha256, validate=figure
    )


@stage
def distill(
    workspace: Workspace,
    recipe: Recipe,
    cohorts: CohortSet,
    teacher: Checkpoint | None,
    arm: str,
    seed: int,
    bound: str,
    knowledge: KnowledgeRef | None = None,
) -> Checkpoint:
    """Train one student: the arm's objective on ``student_train/seed``, and on ``unlabelled/seed`` where the arm may use it.

    An arm that reads a store needs its knowledge and not the teacher's weights.
    """
    objective = Objective(recipe.arms[arm].terms)
    job = Job(workspace, recipe, Role.STUDENT, arm, seed, bound)
    lesson = teach(job, student_cohort(workspace, recipe, cohorts, arm, seed), teacher, knowledge)
    figure = None if recipe.student.fit.patience is None else validation(cohorts, workspace.store, recipe.task, Role.STUDENT)
    begun = compressed(job, teacher) if recipe.arms[arm].begin == "compressed" else None
    digest = cohorts.uses[f"student_train/{seed}"].cohort.sha256
    return job.run(lesson, objective, cohort_digest=digest, begun=begun, validate=figure)


def compressed(job: Job, teacher: Checkpoint | None) -> nn.Module:
    """Return the teacher compressed to at most the student's number of parameters, and make the job one of this network.

    Raises:
        KnowledgeError: ``TEACHER_MISSING`` when there are no weights to compress.
    """
    if teacher is None:
        raise KnowledgeError("TEACHER_MISSING", f"expected a teacher to compress for the arm {job.arm!r}, there is only a store")
    network = load_network(job.workspace, teacher)
    share = share_for(network, parameter_count(job.begin()))
    job.spec = teacher.network.model_copy(update={"rank_share": share})
    return factorised(network, share)


@dataclass(frozen=True)
class Lesson:
    """What a student is trained on and who teaches it: a live teacher, a store (whose answers the cohort then carries), or nobody."""

    cohort: TrainingCohort
    guidance: Guidance | None = None
    stored: StoredSource | None = None

    @property
    def teacher_digest(self) -> str | None:
        """Return the digest of the teacher's weights."""
        if self.stored is not None:
            return self.stored.record.teacher_digest
        return None if self.guidance is None else self.guidance.digest

    def source(self, evidence: Evidence) -> KnowledgeSource | None:
        """Return the teacher as the loop asks it, its explanations its own or a control's."""
        if self.stored is not None or self.guidance is None:
            return self.stored
        stranger = _stranger(self.guidance) if evidence is Evidence.RANDOM_TEACHER else None
        return LiveSource(self.guidance.network, evidence=evidence, stranger=stranger)


def teach(job: Job, cohort: TensorCohort | VolumeCohort, teacher: Checkpoint | None, knowledge: KnowledgeRef | None) -> Lesson:
    """Return who teaches an arm: a live teacher, a store, or nobody; all that can be missing is said here.

    Raises:
        KnowledgeError: ``KNOWLEDGE_MISSING`` when the arm reads a store and none is given, or it lacks something;
            ``KNOWLEDGE_FOREIGN`` when it is another teacher's; ``TEACHER_MISSING`` when a live teacher is asked and none is given.
    """
    recipe, arm = job.recipe, job.recipe.arms[job.arm]
    objective = Objective(arm.terms)
    if "teacher" not in objective.needs:
        return Lesson(cohort)
    if arm.knowledge == "live":
        if teacher is None:
            raise KnowledgeError(
                "TEACHER_MISSING", f"expected a teacher for the arm {job.arm!r}, there is only a store: set knowledge: store"
            )
        return Lesson(cohort, guidance(job.workspace, objective, teacher))
    if knowledge is None:
        raise KnowledgeError("KNOWLEDGE_MISSING", f"expected knowledge for the arm {job.arm!r}, none was extracted")
    source = StoredSource(knowledge, recipe.task.classes, class_map=recipe.knowledge.class_map, evidence=arm.evidence)
    needed = requirements_of(arm, recipe.task, job.begin(), source)
    source.require_maps(needed.maps)
    digest = None if teacher is None else teacher.weights_digest
    replay = recipe.knowledge.replay
    told = taught(cohort, knowledge, job.workspace.store, needed.parts(), teacher_digest=digest, replay=replay)
    return Lesson(told, stored=source)


def student_cohort(workspace: Workspace, recipe: Recipe, cohorts: CohortSet, arm: str, seed: int) -> TensorCohort | VolumeCohort:
    """Return what an arm's student of a seed is trained on."""
    cohort = open_for_training(cohorts, f"student_train/{seed}", workspace.store, recipe.task)
    if recipe.arms[arm].unlabelled and f"unlabelled/{seed}" in cohorts.uses:
        extra = open_for_training(cohorts, f"unlabelled/{seed}", workspace.store, recipe.task)
        if isinstance(cohort, VolumeCohort) and isinstance(extra, VolumeCohort):
            return concatenate_volumes(cohort, extra)
        if isinstance(cohort, TensorCohort) and isinstance(extra, TensorCohort):
            return concatenate(cohort, extra)
    return cohort


@dataclass(frozen=True)
class Guidance:
    """A teacher's network, and the specification and digest of it."""

    network: nn.Module
    spec: NetworkSpec
    digest: str


def guidance(workspace: Workspace, objective: Objective, teacher: Checkpoint) -> Guidance | None:
    """Return the teacher where the objective asks one."""
    if "teacher" not in objective.needs:
        return None
    return Guidance(load_network(workspace, teacher), teacher.network, teacher.weights_digest)


def load_network(workspace: Workspace, checkpoint: Checkpoint) -> nn.Module:
    """Return the network of a checkpoint in eval mode, its weights verified against their digest."""
    path = workspace.store.path(checkpoint.weights)
    return restore_network(checkpoint.network, path, checkpoint.weights.sha256)


def restore_network(spec: NetworkSpec, path: Path, sha256: str) -> nn.Module:
    """Build a network and load verified weights into it.

    Raises:
        StoreError: ``WEIGHTS_ALTERED`` when the file is missing or its bytes differ from the digest.
    """
    if not path.is_file() or sha256_file(path) != sha256:
        raise StoreError("WEIGHTS_ALTERED", f"expected weights with sha256 {sha256[:12]} in {path.name}, the file is missing or altered")
    network = build_network(spec)
    network.load_state_dict(safetensors.torch.load_file(path))
    return network.eval()


def family(name: str) -> str:
    """Return the name of the recipe that a variant's name, ``RECIPE--VARIANT``, was made from: variants begin at the same weights."""
    return name.partition("--")[0]


class Job:
    """One training run of a recipe: names, seeds, folders and the checkpoint record follow from it.

    Args:
        workspace: where files go.
        recipe: bound recipe.
        role: teacher or student.
        arm: of the recipe.
        seed: of the run.
        bound: ``bound_digest(recipe)``.
        suffix: tells several runs of one arm and seed apart.
    """

    def __init__(self, workspace: Workspace, recipe: Recipe, role: Role, arm: str, seed: int, bound: str, suffix: str = "") -> None:
        self.workspace, self.recipe, self.role, self.arm, self.seed, self.bound = workspace, recipe, role, arm, seed, bound
        self.name = f"{recipe.name}/{arm}-{seed}{suffix}"
        self.spec = network_spec(recipe, role)

    def begin(self) -> nn.Module:
        """Return the network with its first weights: all arms of a seed begin at the same ones and differ in their objective only."""
        return build_network(self.spec, seed=derive_seed(family(self.recipe.name), self.role.value, self.seed))

    def run(
        self,
        lesson: Lesson,
        objective: Objective,
        *,
        cohort_digest: str,
        begun: nn.Module | None = None,
        epochs: int | None = None,
        after_epoch: Callable[[int, nn.Module], None] | None = None,
        validate: Callable[[nn.Module], float] | None = None,
    ) -> Checkpoint:
        """Fit, store the weights by their digest, and return the checkpoint; ``begun`` goes on from a network of before."""
        wish = self.recipe.teacher.fit if self.role is Role.TEACHER else self.recipe.student.fit
        wish = wish if epochs is None else wish.model_copy(update={"epochs": epochs})
        told = "" if lesson.stored is None else lesson.stored.record.digest()
        key = hashlib.sha256(f"{self.bound}{cohort_digest}{lesson.teacher_digest}{told}{self.name}{wish.epochs}".encode()).hexdigest()
        arm = self.recipe.arms[self.arm] if self.role is Role.STUDENT else None
        request = FitRequest(
            wish,
            self.recipe.task,
            derive_seed(self.role.value, self.seed),
            self.workspace.root / "training" / self.name,
            key,
            self.workspace.progress,
            self.name,
            balance=None if arm is None else arm.balance,
            after_epoch=after_epoch,
            validate=validate,
        )
        source = lesson.source(Evidence.TEACHER if arm is None else arm.evidence)
        with gpu_slot() as gpu:
            precision = resolve_precision(wish.precision, training_device(gpu))
            # A state of another precision is another run's: going on with it would end with bits that nobody can make again.
            request = replace(request, gpu=gpu, fit=wish.model_copy(update={"precision": precision}), key=f"{key}-{precision}")
            began = time.perf_counter()
            network = self.begin() if begun is None else begun
            fitted = fit(network, objective, lesson.cohort, request, teacher=source)
            seconds = time.perf_counter() - began
        # What a store's answers are carried by is a cohort round the cohort.
        cases = getattr(lesson.cohort, "cohort", lesson.cohort)
        patients = "\n".join(sorted(set(lesson.cohort.patients())))
        return Checkpoint(
            role=self.role,
            arm=self.arm,
            seed=self.seed,
            network=self.spec,
            task=self.recipe.task,
            **self._weights(fitted),
            cohort_digest=cohort_digest,
            recipe_digest=self.bound,
            teacher_digest=lesson.teacher_digest,
            parameters=parameter_count(fitted),
            epochs=wish.epochs,
            precision=precision,
            train_seconds=seconds,
            largest_extent_mm=cases.largest_extent_mm() if isinstance(cases, VolumeCohort) else None,
            train_patients_digest=hashlib.sha256(patients.encode()).hexdigest(),
            domain=training_domain(cases).model_copy(update={"outside": self.recipe.outside_training}),
        )

    def _weights(self, fitted: nn.Module) -> dict[str, Any]:
        weights = self.workspace.store.write_tensors(f"models/{self.name}.safetensors", fitted.state_dict())
        return {"weights": weights, "weights_digest": weights.sha256}


def training_domain(cohort: TrainingCohort) -> TrainingDomain:
    """Return what kind of volumes a cohort holds, as far as they say it."""
    cases: tuple[Case, ...] = getattr(cohort, "cases", ())
    modalities = {case.modality for case in cases if case.modality is not None}
    units = {case.unit for case in cases if case.unit is not None}
    ranges: dict[str, tuple[float, float, float]] = {}
    if isinstance(cohort, VolumeCohort):
        for name, values in zip(("spacing", "extent"), cohort.spacing_and_extent_mm(), strict=True):
            ranges |= {f"{name}_low_mm": tuple(values.min(0).tolist()), f"{name}_high_mm": tuple(values.max(0).tolist())}
    # Of a cohort that is not known as a whole nothing is claimed.
    known = all(case.modality is not None and case.unit is not None for case in cases)
    return TrainingDomain(modalities=tuple(sorted(modalities)) if known else (), units=tuple(sorted(units)) if known else (), **ranges)


def _stranger(guidance: Guidance | None) -> nn.Module | None:
    """Return a network of the teacher's build that has learned nothing."""
    return None if guidance is None else build_network(guidance.spec, seed=derive_seed("stranger")).eval()
