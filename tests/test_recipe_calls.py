from __future__ import annotations

from types import SimpleNamespace

import pytest

from medkd.recipe_calls import comparison_calls


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
    arms = {
        "teacher": (SimpleNamespace(role="teacher"),),
        **{name: (SimpleNamespace(role="student", arm=name),) for name in students.split()},
    }
    calls = comparison_calls(None, SimpleNamespace(cohorts=None), arms)
    assert [f"{a[0].arm}-{b[0].arm}" for _, _, a, b, _ in calls] == pairs
