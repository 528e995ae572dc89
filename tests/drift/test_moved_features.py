from __future__ import annotations

import itertools

import numpy as np
import pytest

from medkd.drift.moved_features import cliffs_delta, direction_of, median_of, spread


def test_cliffs_delta_is_counted_over_all_pairs():
    here, there = [1.0, 4.0, 2.0], [2.0, 3.0]
    counted = sum((a > b) - (a < b) for a, b in itertools.product(here, there)) / 6
    assert cliffs_delta(np.array(here), np.array(there)) == pytest.approx(counted)


@pytest.mark.parametrize(
    ("window", "reference", "expected"),
    [
        ([3, 4, 5], [1, 2, 3], "up"), ([1, 2, 3], [3, 4, 5], "down"), ([-9, -8, 8, 9], [-2, -1, 1, 2], "wider"),
        ([-2, -1, 1, 2], [-9, -8, 8, 9], "narrower"), ([-np.inf, -np.inf, 1], [1, 1, 1], "undefined more often"),
        ([1, 1, 1], [-np.inf, -np.inf, 1], "undefined less often"), ([-np.inf], [1, 2], "undefined more often"),
    ],
)  # fmt: skip
def test_which_way_it_moved(window, reference, expected):
    assert direction_of(np.array(window, dtype=float), np.array(reference, dtype=float)) == expected


def test_a_median_of_few_defined_values_is_none():
    assert median_of(np.array([1.0, 3.0, -np.inf])) == 2.0
    assert median_of(np.array([1.0, -np.inf, -np.inf])) is None
    assert spread(np.arange(5.0)) == 2.0
