"""What a run will need, as a table for people."""

from __future__ import annotations

import math

from data_contracts import PlannedStep, RunPlan
from flows.tables import table
from medkd.memory_need import shown


def plan_text(plan: RunPlan) -> str:
    """Return the table of a plan, what it adds up to, what was assumed and what will not do."""
    rows = [step.name for step in plan.steps]
    columns = {
        "runs": [str(step.runs) for step in plan.steps],
        "parameters": ["" if step.parameters is None else f"{step.parameters:,}" for step in plan.steps],
        "batches": ["" if step.batches is None else f"{step.batches:,}" for step in plan.steps],
        "time": [duration(step.seconds) for step in plan.steps],
        "memory": [_memory(step) for step in plan.steps],
        "disk": ["" if not step.disk_bytes else shown(step.disk_bytes) for step in plan.steps],
        "time rests on": [step.basis.value for step in plan.steps],
    }
    at_once = f"{plan.worker_processes} worker processes" if plan.worker_processes else "no worker processes"
    free = "an unknown amount" if plan.free_memory_bytes is None else shown(plan.free_memory_bytes)
    lines = [
        table(plan.recipe, rows, columns),
        "",
        f"In all about {duration(plan.seconds)}, {shown(plan.memory_bytes)} of memory ({free} free) and {shown(plan.disk_bytes)} of disk",
        f"({shown(plan.free_disk_bytes)} free), with {at_once}.",
        f"Probed in {plan.probe_seconds:.0f} s on {plan.processor}.",
        *plan.assumed,
        *(f"Warning: {warning}" for warning in plan.warnings),
    ]
    return "\n".join(lines)


def _memory(step: PlannedStep) -> str:
    return "" if step.memory_bytes is None else shown(step.memory_bytes)


def duration(seconds: float) -> str:
    """Return a time for people, rounded up: ``40 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 100:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60:,} h {minutes % 60:02d} min"
