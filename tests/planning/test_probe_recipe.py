"""The plan beside what a training then took."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import MissingDependencyError, PlanBasis
from medkd.planning.count_cases import count_cases
from medkd.planning.probe_recipe import ProbeRequest, probe_recipe
from medkd.planning.run_plan import PlanInputs, plan_run
from tests.planning.recipes import smoke_recipe
from tests.planning.trained_teacher import cost_of_the_teacher


def request_of(recipe, seconds):
    counts = count_cases(recipe, Path())
    return ProbeRequest(
        recipe=recipe.canonical_json().decode(), teacher_cases=counts.teacher, student_cases=counts.students, seconds=seconds, threads=1
    )


@pytest.mark.extended  # two processes that import everything and train
def test_time_and_memory_of_the_teacher_are_about_what_its_training_takes(tmp_path):
    recipe, said = smoke_recipe(), []
    found = probe_recipe(request_of(recipe, 12.0), after=said.append)
    assert said[0] == "teacher"
    assert said[-1] == "passes"
    assert 0 < found["base_bytes"] < found["trainings"]["teacher"]["peak_bytes"]
    given = PlanInputs(recipe, count_cases(recipe, Path()), found, 0, {}, Path())
    planned = next(step for step in plan_run(given, free_disk=0, probe_seconds=0.0).steps if step.name == "teacher")
    cost = cost_of_the_teacher(recipe, tmp_path)
    assert planned.basis is PlanBasis.MEASURED
    assert 1 / 2.5 < planned.seconds / cost.wall_seconds < 2.5
    assert abs(planned.memory_bytes / cost.peak_memory_bytes - 1) < 0.5


@pytest.mark.extended
def test_a_process_that_cannot_do_it_says_why():
    broken = request_of(smoke_recipe(), 1.0).model_copy(update={"recipe": '{"schema_version": "recipe/2"}'})
    with pytest.raises(
        MissingDependencyError, match=r"steps of training to run.*CONTRACT_INVALID|steps of training to run.*valid"
    ) as caught:
        probe_recipe(broken)
    assert caught.value.code == "PROBE_FAILED"
