"""Checks of what an answer costs: time, memory, size of the serving form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from data_contracts import PromotionCheck, RegistryError, Task
from medkd.promotion.checks import Check, PromotionSetting, outcome_of
from medkd.promotion.measure_cost import AnswerCost, measure_cost


def check_cost(setting: PromotionSetting, measure: Callable[[Path, Task], AnswerCost] = measure_cost) -> Check:
    """Yield whether time, memory and size of the serving form are within what the policy allows, on this machine."""
    rule, network = setting.policy.cost, setting.subject.network
    if network is None:
        yield setting.not_measured("cost", "cost", "the version has no serving form")
        return
    try:
        cost = measure(network, setting.subject.checkpoint.task)
    except RegistryError as error:
        yield setting.not_measured("cost", "cost", str(error))
        return
    yield _within("latency", "ms", "median time of one forward pass, one thread", cost.latency_ms, rule.max_latency_ms)
    yield _within("peak memory", "MiB", "largest memory of a process that answers", cost.peak_mib, rule.max_peak_mib)
    yield _within("size", "MiB", "size of the network's file", cost.size_mib, rule.max_size_mib)


def _within(name: str, unit: str, what: str, value: float, largest: float) -> PromotionCheck:
    return PromotionCheck(
        theme="cost",
        name=name,
        outcome=outcome_of(value <= largest),
        value=round(value, 3),
        threshold=largest,
        reason=f"{what} {value:.3g} {unit}, at most {largest:g} {unit} allowed",
    )
