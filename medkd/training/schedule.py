"""Numbers that change over training, as functions of the share of it that is done."""

from __future__ import annotations

import math

from data_contracts import Schedule

#: ``exponential`` halves what is left in every such share of the way.
HALF_LIFE = 0.2


def scheduled(schedule: Schedule | None, share: float) -> float:
    """Return the value of a schedule when ``share`` (0 to 1) of training is done; 1 without a schedule."""
    if schedule is None:
        return 1.0
    first, last = schedule.first, schedule.last
    if schedule.kind == "constant" or share < schedule.begin:
        return first
    if schedule.kind == "stop":
        return last
    way = 1.0 if share >= schedule.end else (share - schedule.begin) / (schedule.end - schedule.begin)
    if schedule.kind == "exponential":
        return last + (first - last) * math.pow(0.5, way / HALF_LIFE)
    if schedule.kind == "cosine":
        way = 0.5 * (1 - math.cos(math.pi * way))
    return first + (last - first) * way


def learning_rate(rate: float, share: float) -> float:
    """Return the learning rate: warmed up over the first tenth of training, then along a cosine to one percent."""
    warm = min(1.0, (share + 1e-3) / 0.1)
    return rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
