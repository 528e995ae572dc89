from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from data_contracts import Schedule
from medkd.training.schedule import learning_rate, scheduled


@pytest.mark.parametrize(
    ("config", "shares", "values"),
    [
        ({"kind": "constant", "first": 3.0}, (0, 0.5, 1), (3, 3, 3)),
        ({"kind": "linear", "first": 2.0, "last": 0.0, "begin": 0.2, "end": 0.6}, (0.1, 0.2, 0.4, 0.6, 0.9), (2, 2, 1, 0, 0)),
        ({"kind": "cosine", "first": 4.0, "last": 2.0}, (0, 0.25, 0.5, 1), (4, 3 + math.cos(math.pi / 4), 3, 2)),
        ({"kind": "stop", "begin": 0.7}, (0, 0.69, 0.7, 1), (1, 1, 0, 0)),
        ({"kind": "exponential", "first": 1.0, "last": 0.2}, (0, 0.2, 0.4, 1), (1, 0.6, 0.4, 0.2 + 0.8 / 32)),
    ],
)
def test_by_hand(config, shares, values):
    schedule = Schedule(**config)
    assert [scheduled(schedule, share) for share in shares] == pytest.approx(list(values))


def test_without_a_schedule_nothing_changes():
    assert scheduled(None, 0.3) == 1.0


def test_a_schedule_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValidationError, match="ends after it begins"):
        Schedule(kind="linear", begin=0.5, end=0.2)


def test_the_learning_rate_warms_up_and_falls_to_one_percent():
    rates = [learning_rate(1.0, share) for share in (0.0, 0.05, 0.1, 0.55, 1.0)]
    assert rates[0] < rates[1] < rates[2]
    assert rates[2] > rates[3] > rates[4] == pytest.approx(0.01)
