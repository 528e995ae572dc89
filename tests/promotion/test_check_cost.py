"""What an answer may cost."""

from __future__ import annotations

from dataclasses import replace

from data_contracts import CheckOutcome, CostPolicy
from medkd.promotion.check_cost import check_cost
from medkd.promotion.measure_cost import AnswerCost
from tests.promotion.versions import by_name, policy, setting_of


def test_time_memory_and_size_each_have_their_bound(registry, make, tmp_path):
    setting = setting_of(registry, make(), policy=policy(cost=CostPolicy(max_latency_ms=10, max_peak_mib=100, max_size_mib=1)))
    with_form = replace(setting, subject=replace(setting.subject, network=tmp_path / "model.onnx"))
    checks = by_name(check_cost(with_form, lambda _path, _task: AnswerCost(9.9, 100.1, 0.5)))
    assert [checks[name].holds for name in ("latency", "peak memory", "size")] == [True, False, True]
    (check,) = check_cost(setting)
    assert (check.outcome, check.refuses) == (CheckOutcome.NOT_MEASURED, False)
    (check,) = check_cost(with_form)
    assert "COST" not in check.reason
    assert "does not" in check.reason
