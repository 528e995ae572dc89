"""Every check against a case whose outcome follows from figures that were chosen by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.promotion.versions import ROWS, spread


def test_values_are_spread_round_the_number():
    assert np.mean(spread(0.8, ROWS)) == pytest.approx(0.8)
