"""What a tracking server shows of a recipe: an experiment of its name, a run of the whole in it, and below that a run of each training."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import medkd
from data_contracts import CohortSet, Recipe, Role, Subset, TrainingSpec, teacher_rounds
from medkd.cohorts.split import TESTS
from medkd.storage.metrics_log import TIME, MetricsLog
from medkd.storage.workspace import Workspace, run_folder_id

#: Tags that runs are found again by.
RECIPE_RUN, TRAINING, RUN_FOLDER = "medkd.recipe_run", "medkd.training", "medkd.run_folder"
#: MLflow takes no longer digest of a data set.
MOST_DIGEST = 36


@dataclass(frozen=True)
class RecipeRun:
    """The run of one recipe in one folder.

    Attributes:
        recipe: its name, which is that of the experiment.
        key: what it is found again by: the same recipe in the same folder is the same run.
        params: of the recipe.
        tags: where it came from.
    """

    recipe: str
    key: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """A cohort as an input of a run: its name, the beginning of its sha256, and what it is used for (``training``, ``evaluation``)."""

    name: str
    digest: str
    context: str


@dataclass(frozen=True)
class TrackedTraining:
    """One training of a recipe's run: an arm under a seed.

    Attributes:
        of: the run that it is part of.
        name: ``ARM-SEED``.
        journal: where its metrics are written while it trains.
        params: its whole configuration.
        tags: arm, seed, role.
        datasets: what it is trained and scored on; none while that is not known.
    """

    of: RecipeRun
    name: str
    journal: Path
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()

    def key(self) -> str:
        """Return what its run is found again by: a training that begins anew in the same folder is another one."""
        lines = MetricsLog(self.journal).read()
        return _digest(self.of.key, self.name, lines[0].get(TIME) if lines else None)


def recipe_run_of(workspace: Workspace, recipe: Recipe) -> RecipeRun:
    """Return how the run of a recipe in a workspace is shown."""
    folder = run_folder_id(workspace.root)
    key = _digest(recipe.digest(), folder)
    params = {
        "recipe": recipe.name,
        "arms": ", ".join(recipe.arms),
        "seeds": ", ".join(map(str, recipe.seeds)),
        **flattened(recipe.task.model_dump(mode="json"), "task"),
        **flattened(recipe.data.model_dump(mode="json"), "data"),
    }
    tags = {RECIPE_RUN: key, RUN_FOLDER: folder, "medkd.kind": "recipe", "medkd.recipe_record": recipe.digest(), **source_tags()}
    return RecipeRun(recipe.name, key, params, {**tags, "mlflow.note.content": recipe.description})


def tracked_trainings(workspace: Workspace, recipe: Recipe, *, teacher: bool = True) -> tuple[TrackedTraining, ...]:
    """Return every training of a recipe as it is shown: the teacher's first, then each arm under each seed."""
    run = recipe_run_of(workspace, recipe)
    further = [network for networks in teacher_rounds(recipe) for network in networks]
    specs = [recipe.teacher_training(), *map(recipe.teacher_training, further)] if teacher else []
    specs += [recipe.student_training(arm, seed) for arm in recipe.arms for seed in recipe.seeds]
    return tuple(tracked_training(workspace, run, spec) for spec in specs)


def tracked_training(workspace: Workspace, run: RecipeRun, spec: TrainingSpec, cohorts: CohortSet | None = None) -> TrackedTraining:
    """Return how one training is shown, with its data sets where the cohorts are known."""
    name = f"{spec.arm}-{spec.seed}"
    tags = {"medkd.arm": spec.arm, "medkd.seed": str(spec.seed), "medkd.role": spec.role.value, "medkd.kind": "training"}
    return TrackedTraining(
        run,
        name,
        workspace.root / "training" / spec.recipe / name / "metrics.jsonl",
        {"network": spec.network.builder, **flattened(spec.model_dump(mode="json"))},
        {**tags, **source_tags(), RECIPE_RUN: run.key, RUN_FOLDER: run.tags[RUN_FOLDER]},
        () if cohorts is None else tuple(_datasets(cohorts, spec)),
    )


def _datasets(cohorts: CohortSet, spec: TrainingSpec) -> Iterator[Dataset]:
    trained: list[str] = [Subset.TEACHER_TRAIN] if spec.role is Role.TEACHER else [Subset.learnt_from(spec.objective.cases, spec.seed)]
    if spec.objective.unlabelled:
        trained.append(Subset.UNLABELLED.of(spec.seed))
    for context, subsets in (("training", trained), ("evaluation", TESTS)):
        for subset in subsets:
            if subset in cohorts.uses:
                yield Dataset(f"{spec.recipe} {subset}", cohorts.uses[subset].cohort.sha256[:MOST_DIGEST], context)


def flattened(value: Any, prefix: str = "") -> dict[str, str]:
    """Return the leaves of nested JSON by their dotted place; lists of plain values are one leaf.

    >>> flattened({"fit": {"epochs": 5, "strong": None}, "sizes": [8, 16]})
    {'fit.epochs': '5', 'fit.strong': 'null', 'sizes': '[8, 16]'}
    """
    if isinstance(value, dict):
        items = [(str(name), part) for name, part in value.items()]
    elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        items = [(str(place), part) for place, part in enumerate(value)]
    else:
        return {prefix: value if isinstance(value, str) else json.dumps(value)}
    return {key: leaf for name, part in items for key, leaf in flattened(part, f"{prefix}.{name}" if prefix else name).items()}


@functools.cache
def source_tags() -> dict[str, str]:
    """Return MLflow's tags of the code that runs: its version, and the commit where it is run from a checkout."""
    tags = {"mlflow.source.name": f"medkd {medkd.__version__}", "mlflow.source.type": "LOCAL"}
    root = Path(medkd.__file__).parents[1]
    # Installed below somebody's repository it is not that repository's code.
    if shutil.which("git") is None or not (root / ".git").exists():
        return tags
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        tags["mlflow.source.git.commit"] = commit
        tags["mlflow.source.git.dirty"] = str(bool(_git(root, "status", "--porcelain", "--untracked-files=no"))).lower()
    return tags


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
