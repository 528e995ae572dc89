from __future__ import annotations

import numpy as np
import pytest

from medkd.evaluation.write_score import reliability, render_calibration, wilson


def test_a_reliability_curve_counts_every_case_once(classified):
    probability = np.array([0.0, 0.01, 0.5, 0.99, 1.0])
    mean, share, count = reliability(probability, np.array([0.0, 1.0, 1.0, 1.0, 0.0]))
    assert count.tolist() == [2, 1, 2]
    assert mean == pytest.approx([0.005, 0.5, 0.995])
    assert share == pytest.approx([0.5, 1.0, 0.5])
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)  # Wilson 1927, as tabulated
    assert render_calibration(classified[1]).startswith(b"\x89PNG")
