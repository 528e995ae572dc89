"""Extrapolation by hand, and the warnings."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import PlanBasis
from medkd.planning import run_plan
from medkd.planning.count_cases import count_cases
from medkd.planning.run_plan import PlanInputs, plan_run
from tests.planning.recipes import smoke_recipe

GIB = 2**30
TRAINING = {
    "start_seconds": 3.0,
    "ask_seconds": 0.01,
    "step_seconds": 0.5,
    "save_seconds": 0.25,
    "peak_bytes": GIB,
    "state_bytes": 1000,
    "parameters": 100,
    "precision": "fp32",
}
PASS = {"forward_seconds": 0.01, "gradient_seconds": 0.03, "peak_bytes": GIB // 2}
FOUND = {
    "trainings": {"teacher": {**TRAINING, "ask_seconds": 0.0}, "kd": TRAINING},
    "passes": {"teacher": PASS, "student": PASS},
    "base_bytes": GIB // 4,
    "processor": "P",
}


def made(workers=0, free_disk=10**12, found=FOUND, **changes):
    recipe = smoke_recipe(**changes)
    given = PlanInputs(recipe, count_cases(recipe, Path()), found, workers, {"register": 4.0, "cohorts": 2.0}, Path())
    return plan_run(given, free_disk=free_disk, probe_seconds=1.0)


def step(plan, name):
    return next(one for one in plan.steps if one.name == name)


def test_a_training_takes_its_start_its_steps_its_saves_and_the_asking_of_its_teacher():
    plan = made(**{"teacher.fit.epochs": 3})
    teacher = step(plan, "teacher")
    assert teacher.batches == 3 * (128 // 16)
    assert teacher.seconds == pytest.approx(3 + 24 * 0.5 + 3 * 0.25)
    assert step(plan, "kd").seconds == pytest.approx(3 + 4 * 0.5 + 0.25 + 64 * 0.01)
    assert teacher.disk_bytes == 1000 + 400
    assert teacher.basis is PlanBasis.MEASURED


def test_seeds_run_side_by_side_in_worker_processes_whose_memory_adds_up():
    one, two = (made(workers, **{"seeds": [0, 1, 2]}) for workers in (0, 2))
    alone, beside = step(one, "kd"), step(two, "kd")
    assert (alone.runs, alone.seconds / beside.seconds) == (3, pytest.approx(3 / 2))
    largest = max(one.memory_bytes for one in two.steps if one.batches)
    assert two.memory_bytes == 2 * largest + GIB // 4
    assert one.memory_bytes == largest
    assert alone.disk_bytes == 3 * 1400


def test_a_training_by_several_processes_takes_their_memory_and_says_so():
    one, two = made(), made(**{"teacher.fit.processes": 2})
    assert step(two, "teacher").memory_bytes == 2 * step(one, "teacher").memory_bytes
    assert step(two, "kd").memory_bytes == step(one, "kd").memory_bytes
    assert two.memory_bytes == 2 * step(one, "teacher").memory_bytes
    assert [line for line in two.assumed if "2 for teacher" in line]


def test_arms_that_there_was_no_time_for_are_named_and_taken_as_the_costliest():
    plan = made()
    assert step(plan, "alone").seconds > 0
    assert [line for line in plan.assumed if "alone, kd_explanation" in line]
    everything = {**FOUND, "trainings": {**FOUND["trainings"], "alone": TRAINING, "kd_explanation": TRAINING}}
    assert made(found=everything).assumed == ()


def test_the_whole_is_the_sum_of_its_steps():
    plan = made()
    assert plan.seconds == pytest.approx(sum(one.seconds for one in plan.steps))
    assert plan.disk_bytes == sum(one.disk_bytes for one in plan.steps)
    assert step(plan, "register").seconds == 4.0
    assert step(plan, "explanation").seconds == pytest.approx(3 * 2 * 2 * 4 * 0.03)  # students, cases, explainers of one pass, maps
    assert (plan.processor, plan.recipe, plan.warnings) == ("P, fp32", "phantom-segmentation", ())


def test_too_little_memory_and_disk_are_warned_of(monkeypatch):
    monkeypatch.setattr(run_plan, "available_bytes", lambda: GIB)
    memory, disk = made(2, free_disk=2**20).warnings
    assert "2.3 GiB of free memory, there are 1.0 GiB" in memory
    assert "MEDKD_WORKERS=0" in memory
    assert "of free disk, there are 1 MiB" in disk
    monkeypatch.setattr(run_plan, "available_bytes", lambda: None)
    assert made().free_memory_bytes is None
    assert made().warnings == ()


def test_an_explainer_takes_as_many_passes_as_its_steps_or_their_default():
    assert run_plan._passes_of("cam", {}) == 1
    assert run_plan._passes_of("integrated_gradients", {"steps": 16}) == 16
    assert run_plan._passes_of("integrated_gradients", {}) > 1
