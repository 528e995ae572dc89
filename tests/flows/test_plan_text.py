from __future__ import annotations

import pytest

from data_contracts import PlanBasis, PlannedStep, RunPlan
from flows.plan_text import duration, plan_text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (0.2, "1 s"), (99, "99 s"), (100.5, "2 min"), (5940, "99 min"), (6000, "1 h 40 min"), (3_600_000, "1,000 h 00 min")],
)
def test_a_time_is_rounded_up(seconds, said):
    assert duration(seconds) == said


def test_a_plan_is_a_table_of_at_most_a_hundred_columns_with_its_warnings():
    steps = (
        PlannedStep(
            name="teacher",
            runs=1,
            seconds=70,
            memory_bytes=3 * 2**30,
            disk_bytes=10**9,
            parameters=31_000_000,
            batches=250_000,
            basis=PlanBasis.MEASURED,
        ),
        PlannedStep(
            name="an_arm_with_a_rather_long_name",
            runs=5,
            seconds=10**6,
            memory_bytes=2**30,
            parameters=100,
            batches=7,
            basis=PlanBasis.MEASURED,
        ),
        PlannedStep(name="register", runs=6, seconds=6, basis=PlanBasis.RULE),
    )
    plan = RunPlan(
        recipe="r",
        processor="P, fp32",
        worker_processes=2,
        steps=steps,
        memory_bytes=2**32,
        disk_bytes=10**9,
        seconds=2 * 10**6,
        free_memory_bytes=2**30,
        free_disk_bytes=2**40,
        probe_seconds=9,
        warnings=("Expected more.",),
    )
    text = plan_text(plan)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[2].split()[:2] == ["teacher", "1"]
    assert "4.0 GiB of memory (1.0 GiB free)" in text
    assert "with 2 worker processes" in text
    assert lines[-1] == "Warning: Expected more."
