"""Stages that train: a teacher from labels, a student from labels and a teacher."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path

import safetensors.torch
from torch import nn

from data_contracts import Checkpoint, CohortSet, NetworkSpec, Recipe, RecipeError, Role, StoreError
from medkd.gpu_slot import gpu_slot
from medkd.models._build import build_network, parameter_count
from medkd.training.fit import FitRequest, TrainingCohort, fit
from medkd.training.objective import Objective, network_spec
from medkd.volumes.open_cohort import open_for_training
from medkd.volumes.phantom import derive_seed
from medkd.volumes.store import sha256_file
from medkd.volumes.tensor_cohort import concatenate
from medkd.volumes.volume_cohort import VolumeCohort
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
    job = _Job(workspace, recipe, Role.TEACHER, "teacher", recipe.teacher.seed, bound)
    return job.run(cohort, Objective(recipe.teacher.terms), cohort_digest=cohorts.uses["teacher_train"].cohort.sha256)


@stage
def distill(workspace: Workspace, recipe: Recipe, cohorts: CohortSet, teacher: Checkpoint, arm: str, seed: int, bound: str) -> Checkpoint:
    """Train one student: the arm's objective on ``student_train/seed``, and on ``unlabelled/seed`` where the arm may use it."""
    cohort = open_for_training(cohorts, f"student_train/{seed}", workspace.store, recipe.task)
    objective = Objective(recipe.arms[arm].terms)
    if recipe.arms[arm].unlabelled and f"unlabelled/{seed}" in cohorts.uses:
        extra = open_for_training(cohorts, f"unlabelled/{seed}", workspace.store, recipe.task)
        if isinstance(cohort, VolumeCohort) or isinstance(extra, VolumeCohort):
            raise RecipeError("RECIPE_NEEDS", "expected pictures for an arm with unlabelled cases, volumes have no unlabelled cohort yet")
        cohort = concatenate(cohort, extra)
    job = _Job(workspace, recipe, Role.STUDENT, arm, seed, bound)
    with_teacher = "teacher" in objective.needs
    network = load_network(workspace, teacher) if with_teacher else None
    digest = cohorts.uses[f"student_train/{seed}"].cohort.sha256
    return job.run(
        cohort, objective, cohort_digest=digest, teacher=network, teacher_digest=teacher.weights_digest if with_teacher else None
    )


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


class _Job:
    """One training run of a recipe: names, seeds, folders and the checkpoint record follow from it."""

    def __init__(self, workspace: Workspace, recipe: Recipe, role: Role, arm: str, seed: int, bound: str) -> None:
        self.workspace, self.recipe, self.role, self.arm, self.seed, self.bound = workspace, recipe, role, arm, seed, bound
        self.name = f"{recipe.name}/{arm}-{seed}"

    def run(
        self,
        cohort: TrainingCohort,
        objective: Objective,
        *,
        cohort_digest: str,
        teacher: nn.Module | None = None,
        teacher_digest: str | None = None,
    ) -> Checkpoint:
        """Fit, store the weights by their digest, and return the checkpoint."""
        wish = self.recipe.teacher.fit if self.role is Role.TEACHER else self.recipe.student.fit
        spec = network_spec(self.recipe, self.role)
        # All arms of a seed begin at the same weights: they differ in nothing but their objective.
        network = build_network(spec, seed=derive_seed(self.recipe.name, self.role.value, self.seed))
        key = hashlib.sha256(f"{self.bound}{cohort_digest}{teacher_digest}{self.name}".encode()).hexdigest()
        folder = self.workspace.root / "training" / self.name
        seed = derive_seed(self.role.value, self.seed)
        request = FitRequest(wish, self.recipe.task, seed, folder, key, self.workspace.progress, self.name)
        with gpu_slot() as gpu:
            begun = time.perf_counter()
            fitted = fit(network, objective, cohort, replace(request, gpu=gpu), teacher=teacher)
            seconds = time.perf_counter() - begun
        weights = self.workspace.store.write_tensors(f"models/{self.name}.safetensors", fitted.state_dict())
        patients = "\n".join(sorted(set(cohort.patients())))
        return Checkpoint(
            role=self.role,
            arm=self.arm,
            seed=self.seed,
            network=spec,
            task=self.recipe.task,
            weights=weights,
            weights_digest=weights.sha256,
            cohort_digest=cohort_digest,
            recipe_digest=self.bound,
            teacher_digest=teacher_digest,
            parameters=parameter_count(fitted),
            epochs=wish.epochs,
            train_seconds=seconds,
            largest_extent_mm=cohort.largest_extent_mm() if isinstance(cohort, VolumeCohort) else None,
            train_patients_digest=hashlib.sha256(patients.encode()).hexdigest(),
        )
