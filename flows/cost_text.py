"""What trainings cost, as rows of a run's table and below each scorecard of its summary."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from data_contracts import Scorecard, TrainingCost
from medkd.registry.recipe_result import RecipeResult

ROWS = ("CPU, s", "peak memory, MiB", "energy, Wh")


def costs_of(result: RecipeResult, card: Scorecard) -> tuple[TrainingCost, ...]:
    """Return the cost of each training that a scorecard is of, where it was measured."""
    return tuple(model.cost for model in result.models if model.cost is not None and model.weights_digest in card.weights_digests)


def cost_rows(costs: tuple[TrainingCost, ...]) -> list[str]:
    """Return the cells of :data:`ROWS`: means over the trainings, of memory the largest; empty where nothing was measured."""
    if not costs:
        return [""] * len(ROWS)
    summary = cost_summary(costs)
    peak = summary.get("peak_memory_mib")
    return [f"{summary['cpu_seconds']:.0f}", "" if peak is None else f"{peak:,.0f}", f"{summary['energy_wh']:.2g}"]


def cost_summary(costs: tuple[TrainingCost, ...]) -> dict[str, Any]:
    """Return means over the trainings by name, of memory the largest, and what the energy rests on; empty where nothing was measured."""
    metrics = [cost.metrics() for cost in costs]
    names = dict.fromkeys(name for one in metrics for name in one)
    found: dict[str, Any] = {}
    for name in names:
        values = [one[name] for one in metrics if name in one]
        found[name.removeprefix("cost_")] = max(values) if "_peak_" in name else fmean(values)
    return {**found, "energy_assumption": "; ".join(dict.fromkeys(cost.energy_assumption for cost in costs))} if costs else {}


def cost_note(costs: tuple[TrainingCost, ...]) -> str:
    """Return the line below a table that says what the energy rests on; empty where nothing was measured."""
    words = dict.fromkeys(cost.energy_assumption for cost in costs)
    return f"Cost per training; energy is estimated, {'; '.join(words)}." if words else ""
