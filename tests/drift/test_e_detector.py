from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from medkd.drift.e_detector import e_cusum, e_value


def test_an_e_value_has_mean_one_over_uniform_p():
    assert quad(e_value, 0, 1)[0] == pytest.approx(1.0, abs=1e-6)


def test_the_process_multiplies_and_never_begins_below_one():
    assert e_cusum(1.0, 0.0025) == pytest.approx(10.0)  # 1 / (2 sqrt(p))
    assert e_cusum(10.0, 0.0025) == pytest.approx(100.0)
    assert e_cusum(0.01, 1.0) == pytest.approx(0.5)


@pytest.mark.parametrize("p", [0.0, -0.1, 1.5])
def test_what_is_no_p_value_is_refused(p):
    with pytest.raises(ValueError, match="expected a p-value"):
        e_value(p)


def test_without_drift_alarms_are_as_far_apart_as_was_set():
    generator, lengths = np.random.default_rng(0), []
    for _ in range(300):
        process, length = 1.0, 0
        while process < 20:
            process, length = e_cusum(process, float(generator.uniform(1e-12, 1))), length + 1
        lengths.append(length)
    assert np.mean(lengths) >= 20
