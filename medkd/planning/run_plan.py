"""From a probe of a few steps to what a whole run will need: by the number of steps, of passes, and by rules of thumb for the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_contracts import PlanBasis, PlannedStep, Recipe, RunPlan, TrainingSpec, networks_of
from medkd.catalogue import EXPLAINERS
from medkd.memory_need import available_bytes, shown
from medkd.planning.count_cases import CaseCounts, batches_of
from medkd.training.memory import BYTES_PER_PIXEL, cohort_bytes

#: Bytes per voxel of a stored cohort: pictures and phantoms in 16 bits with their mask, volumes in float32 with their label map.
_STORED_2D, _STORED_3D = 3, 5
#: A version beside its weights: code for where medkd is not installed, records, pages; and per voxel the JSON of its example.
_VERSION_BYTES, _EXAMPLE_BYTES_PER_VOXEL = 700 * 2**10, 35
#: Tables of MLflow's SQLite database.
_DATABASE_BYTES = 2 * 2**20
#: Passes of one case by evaluation: its answer, and the class maps of network and teacher.
_EVALUATION_PASSES = 3
#: Times that a map is made per case and explainer, each of as many gradients as its steps: student, teacher, and sanity checks on other weights.
_MAPS_PER_CASE = 4
#: Options of explainers that say how many passes a map takes.
_STEP_OPTIONS = ("steps", "samples", "views", "most_passes")


@dataclass(frozen=True)
class PlanInputs:
    """What a plan is made of.

    Attributes:
        recipe: bound.
        counts: its cases.
        found: what :func:`medkd.planning.probe_recipe.probe_recipe` returned.
        workers: worker processes of the run; 0 for none.
        rules: expected seconds of the steps that are not probed, by name (:func:`flows.plan.expected_seconds`).
        data_root: folder that ``data.path`` is relative to.
    """

    recipe: Recipe
    counts: CaseCounts
    found: Mapping[str, Any]
    workers: int
    rules: Mapping[str, float]
    data_root: Path


def plan_run(given: PlanInputs, *, free_disk: int, probe_seconds: float) -> RunPlan:
    """Return what a run will need, with a warning for what this machine does not have.

    Args:
        given: what is known of it.
        free_disk: bytes that are free where the run's folder will lie.
        probe_seconds: that the probe took.
    """
    steps, free = tuple(_steps(given)), available_bytes()
    trainings = sorted((step.memory_bytes or 0 for step in steps if step.batches is not None), reverse=True)
    others = [step.memory_bytes or 0 for step in steps if step.batches is None]
    at_once = min(max(1, given.workers), sum(step.runs for step in steps if step.batches is not None and step.name != "teacher"))
    main = int(given.found["base_bytes"]) if given.workers else 0
    memory = max(at_once * trainings[0] + main, *others)
    disk = sum(step.disk_bytes for step in steps)
    assumed = [f"Assumed: {given.counts.assumed}."] if given.counts.assumed else []
    missing = [arm for arm in given.recipe.arms if arm not in given.found["trainings"]]
    if missing:
        assumed.append(f"Not probed for want of time, taken as the costliest that was: {', '.join(missing)}; --seconds gives more.")
    fits = {"teacher": given.recipe.teacher.fit, "students": given.recipe.student.fit}
    several = [f"{fit.processes} for {name}" for name, fit in fits.items() if fit.processes > 1]
    if several:
        assumed.append(f"Counted for several processes ({', '.join(several)}): memory that many times, time as by one.")
    precision = given.found["trainings"]["teacher"]["precision"]
    return RunPlan(
        recipe=given.recipe.name,
        processor=f"{given.found['processor']}, {precision}",
        worker_processes=given.workers,
        steps=steps,
        memory_bytes=memory,
        disk_bytes=disk,
        seconds=sum(step.seconds for step in steps),
        free_memory_bytes=free,
        free_disk_bytes=free_disk,
        probe_seconds=probe_seconds,
        assumed=tuple(assumed),
        warnings=tuple(_warnings(memory, free, disk, free_disk, given.workers)),
    )


def _steps(given: PlanInputs) -> Iterator[PlannedStep]:
    recipe, voxels = given.recipe, math.prod(given.recipe.task.image_size)
    is_flat = recipe.task.spatial_dims == 2
    stored = given.counts.stored * voxels * _STORED_2D if is_flat else cohort_bytes(recipe, given.data_root)
    base = int(given.found["base_bytes"])
    yield _rule(given, "cohorts", disk=stored, memory=base + cohort_bytes(recipe, given.data_root))
    if recipe.teacher.registered is None:
        yield _training(given, "teacher", recipe.teacher_training(), given.counts.teacher, runs=1)
    for name in recipe.teachers:
        networks = networks_of(recipe, name)
        share = 1 - 1 / len(networks) if len(networks) > 1 else 1.0
        spec = recipe.teacher_training(networks[0])
        yield _training(given, networks[0].arm, spec, max(1, round(given.counts.teacher * share)), runs=len(networks))
    for arm in recipe.arms:
        spec = recipe.student_training(arm, recipe.seeds[0])
        yield _training(given, arm, spec, given.counts.students[arm], runs=len(recipe.seeds))
    yield _evaluation(given)
    for name in ("scorecards", "compare", "calibrate", "losses"):
        yield _rule(given, name)
    yield _explanation(given, voxels)
    yield _registry(given, voxels)


def _training(given: PlanInputs, name: str, spec: TrainingSpec, cases: int, *, runs: int) -> PlannedStep:
    probes: Mapping[str, Mapping[str, Any]] = given.found["trainings"]
    probe = probes.get(name) or max((one for arm, one in probes.items() if arm != "teacher"), key=lambda one: one["step_seconds"])
    batches, at_once = batches_of(spec, cases), min(max(1, given.workers), runs)
    one = batches * probe["step_seconds"] + cases * probe["ask_seconds"] + spec.fit.epochs * probe["save_seconds"] + probe["start_seconds"]
    # The probe held two batches of cases: the cohort comes on top of it.
    held = min(cases, 2 * spec.fit.batch_size) * math.prod(spec.task.image_size) * BYTES_PER_PIXEL
    cohort = cases * math.prod(spec.task.image_size) * BYTES_PER_PIXEL
    if spec.task.spatial_dims == 3:
        cohort = max(cohort, cohort_bytes(given.recipe, given.data_root))
    return PlannedStep(
        name=name,
        runs=runs,
        seconds=math.ceil(runs / at_once) * one,
        # Each of several processes holds network and cases; the probe was made by one, with the whole batch.
        memory_bytes=spec.fit.processes * int(probe["peak_bytes"] + max(0, cohort - held)),
        disk_bytes=runs * (probe["state_bytes"] + 4 * probe["parameters"]),
        parameters=probe["parameters"],
        batches=batches,
        basis=PlanBasis.MEASURED,
    )


def _models(recipe: Recipe) -> int:
    return 1 + sum(len(networks_of(recipe, name)) for name in recipe.teachers) + len(recipe.arms) * len(recipe.seeds)


def _evaluation(given: PlanInputs) -> PlannedStep:
    recipe, passes, models = given.recipe, given.found["passes"], _models(given.recipe)
    flips = 2 ** len(recipe.task.test_time_flips)
    forward = passes["teacher"]["forward_seconds"] + (models - 1) * passes["student"]["forward_seconds"]
    seconds = given.counts.tests * flips * (forward + models * passes["teacher"]["forward_seconds"]) * _EVALUATION_PASSES / 2
    return PlannedStep(
        name="evaluation",
        runs=models,
        seconds=seconds / max(1, min(given.workers, models)),
        memory_bytes=_passes_bytes(given),
        disk_bytes=models * given.counts.tests * 8 * 8,
        basis=PlanBasis.COUNTED,
    )


def _explanation(given: PlanInputs, voxels: int) -> PlannedStep:
    explain, passes, recipe = given.recipe.explain, given.found["passes"], given.recipe
    students = len(recipe.arms) * len(recipe.seeds)
    gradients = sum(_passes_of(one.name, one.options) for one in explain.explainers)
    pair = passes["teacher"]["gradient_seconds"] + passes["student"]["gradient_seconds"]
    seconds = students * explain.cases * gradients * _MAPS_PER_CASE * pair / 2
    maps = students * explain.cases * 2 * len(explain.explainers) * voxels * 4
    return PlannedStep(
        name="explanation",
        runs=students,
        seconds=seconds / max(1, min(given.workers, students)),
        memory_bytes=_passes_bytes(given),
        # In the store, in the bundle that is packed, and in the registry.
        disk_bytes=3 * maps,
        basis=PlanBasis.COUNTED,
    )


def _passes_of(explainer: str, options: Mapping[str, Any]) -> int:
    """Return how many passes a map of an explainer takes: what its option of steps says, or its default; 1 where it has none."""
    known = EXPLAINERS.entry(explainer).options()
    for name in _STEP_OPTIONS:
        if name in known:
            value = options.get(name, known[name].default)
            return int(value) if isinstance(value, int) else 1
    return 1


def _registry(given: PlanInputs, voxels: int) -> PlannedStep:
    models = _models(given.recipe)
    trained: Mapping[str, Mapping[str, Any]] = given.found["trainings"]
    student = max(one["parameters"] for name, one in trained.items() if name != "teacher")
    weights = 4 * (trained["teacher"]["parameters"] + (models - 1) * student)
    # Each version twice, packed and registered, and each time as weights and as the form that is served.
    disk = 4 * weights + models * (_VERSION_BYTES + voxels * _EXAMPLE_BYTES_PER_VOXEL) + _DATABASE_BYTES
    return _rule(given, "register", disk=disk, runs=models)


def _rule(given: PlanInputs, name: str, *, disk: int = 0, memory: int | None = None, runs: int = 1) -> PlannedStep:
    return PlannedStep(name=name, runs=runs, seconds=given.rules.get(name, 0.0), memory_bytes=memory, disk_bytes=disk, basis=PlanBasis.RULE)


def _passes_bytes(given: PlanInputs) -> int:
    """Return the memory of a process that asks networks, its cases included."""
    return int(max(one["peak_bytes"] for one in given.found["passes"].values())) + cohort_bytes(given.recipe, given.data_root)


def _warnings(memory: int, free: int | None, disk: int, free_disk: int, workers: int) -> Iterator[str]:
    if free is not None and memory > free:
        fewer = ", or train one after another (MEDKD_WORKERS=0)" if workers > 1 else ""
        yield (
            f"Expected {shown(memory)} of free memory, there are {shown(free)}: the run may be killed; "
            f"make patch, batch or networks smaller{fewer}."
        )
    if disk > free_disk:
        yield f"Expected {shown(disk)} of free disk, there are {shown(free_disk)}: the run will not end; free some, or choose another --out."
