"""Verdicts: what is beyond the bound and the control, what is within, and what nobody can say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from data_contracts import ShortcutVerdict
from medkd.audit.answers import Answers
from medkd.audit.changes import PutToTest, Truth
from medkd.audit.effects import effects_of

RNG = np.random.default_rng(3)
N = 24


def answers(second):
    second = np.clip(np.asarray(second, dtype=float), 0, 1)
    return Answers(np.stack([1 - second, second], axis=1))


def judged(shift, control=0.0, *, spread=0.02, patients=N, times=1, bound=0.05):
    before = np.full(N, 0.4)
    after = before + shift + RNG.normal(0, spread, N)
    test = PutToTest(
        "text", "mark", tuple(range(N)), answers(before), answers(after), answers(before + control + RNG.normal(0, spread, N)), 1.0
    )
    truth = Truth([f"p{row % patients}" for row in range(N)], np.arange(N) % 2, (None,) * N, ("benign", "malignant"))
    return effects_of([(test, truth)] * times, bound)


@pytest.mark.parametrize(
    ("shift", "control", "verdict", "said"),
    [
        (0.2, 0.0, ShortcutVerdict.FOLLOWS, "further than under the control"),
        (-0.2, 0.0, ShortcutVerdict.FOLLOWS, "probability of benign"),
        (0.0, 0.0, ShortcutVerdict.SILENT, "within 0.05"),
        (0.2, 0.2, ShortcutVerdict.UNDETERMINED, "noise of equal energy changes the answers as much"),
        (0.05, 0.0, ShortcutVerdict.UNDETERMINED, "reaches both sides"),
    ],
)
def test_a_verdict_follows_effect_bound_and_control(shift, control, verdict, said):
    (found,) = judged(shift, control)
    assert found.verdict is verdict
    assert said in found.reason


def test_answers_that_move_both_ways_are_not_silent():
    (found,) = judged(np.where(np.arange(N) // 12, 0.3, -0.3), patients=12)
    assert found.verdict is ShortcutVerdict.UNDETERMINED
    assert "not one way" in found.reason


def test_few_patients_say_nothing():
    (found,) = judged(0.3, patients=4)
    assert found.verdict is ShortcutVerdict.UNDETERMINED
    assert "4 patients are too few" in found.reason


def test_p_values_are_of_patients_and_corrected_for_their_number():
    one, three = judged(0.1, spread=0.05)[0], judged(0.1, spread=0.05, times=3)
    assert three[0].p_corrected == pytest.approx(min(1.0, 3 * three[0].p_value))
    assert one.p_corrected == one.p_value
    means = RNG.normal(0.08, 0.05, N)
    test = PutToTest("text", "mark", tuple(range(N)), answers(np.full(N, 0.4)), answers(0.4 + means), answers(np.full(N, 0.4)), 1.0)
    (found,) = effects_of([(test, Truth([f"p{row}" for row in range(N)], np.arange(N) % 2, (None,) * N, ("a", "b")))], 0.05)
    assert found.p_value == pytest.approx(
        max(2 * ttest_1samp(means, 0.05, alternative="greater").pvalue, ttest_1samp(np.abs(means), 0, alternative="greater").pvalue)
    )


def test_the_correlation_is_with_the_class_that_the_effect_is_about():
    (found,) = judged(np.where(np.arange(N) % 2, 0.3, 0.1))
    assert found.class_correlation.mean > 0.9
