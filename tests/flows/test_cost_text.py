from __future__ import annotations

from types import SimpleNamespace

from data_contracts import TrainingCost
from flows.cost_text import ROWS, cost_note, cost_rows, cost_summary, costs_of


def cost(seconds, peak):
    return TrainingCost(
        cpu_seconds=seconds, wall_seconds=1, peak_memory_bytes=peak, energy_wh=seconds / 100, energy_assumption="assuming 10 W"
    )


def test_seconds_and_energy_are_means_over_trainings_and_memory_is_the_largest():
    costs = (cost(10, 2**20), cost(20, 3 * 2**20))
    assert dict(zip(ROWS, cost_rows(costs), strict=True)) == {"CPU, s": "15", "peak memory, MiB": "3", "energy, Wh": "0.15"}
    summary = cost_summary(costs)
    assert (summary["cpu_seconds"], summary["peak_memory_mib"], summary["energy_assumption"]) == (15, 3, "assuming 10 W")
    assert cost_note(costs) == "Cost per training; energy is estimated, assuming 10 W."


def test_what_was_never_measured_is_left_empty():
    assert cost_rows(()) == ["", "", ""]
    assert cost_summary(()) == {}
    assert cost_note(()) == ""


def test_a_scorecards_costs_are_those_of_its_own_trainings():
    models = [
        SimpleNamespace(cost=cost(1, 1), weights_digest="a"),
        SimpleNamespace(cost=None, weights_digest="b"),
        SimpleNamespace(cost=cost(2, 1), weights_digest="c"),
    ]
    found = costs_of(SimpleNamespace(models=models), SimpleNamespace(weights_digests=("a", "b")))
    assert [one.cpu_seconds for one in found] == [1]
