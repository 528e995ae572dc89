from __future__ import annotations

from types import SimpleNamespace

import pytest

from flows.evaluate import _pairs


@pytest.mark.parametrize(
    ("students", "pairs"),
    [
        ("alone kd kd_explanation", ["kd-alone", "kd_explanation-alone", "kd_explanation-kd"]),
        ("alone supervision kd", ["supervision-alone", "kd-alone"]),
        ("one two three", ["two-one", "three-two"]),
        ("kd", []),
    ],
)
def test_arms_are_compared_with_the_baselines_before_them(students, pairs):
    arms = {"teacher": (SimpleNamespace(role="teacher"),), **{name: (SimpleNamespace(role="student"),) for name in students.split()}}
    assert [f"{arm}-{baseline}" for arm, baseline in _pairs(arms)] == pairs
