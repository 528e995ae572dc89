"""Intensities as torch computes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import Task
from medkd.volumes.intensity import array_intensity, standardised

WINDOWED = Task(kind="classification", classes=("a", "b"), window=(-160.0, 240.0))
STANDARDISED = Task(kind="segmentation", classes=("a", "b"), image_size=(8, 8, 8), intensity="standardised")


def test_a_window_is_brought_to_minus_one_to_one_and_what_lies_beyond_it_to_its_ends():
    values = np.array([-1000, -160, -60, 40, 240, 3000], dtype=np.int16)
    found = array_intensity(values, WINDOWED)
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx([-1, -1, -0.5, 0, 1, 1])


def test_between_its_ends_a_window_is_a_straight_line():
    values = np.random.default_rng(0).normal(40, 300, size=(5, 6, 7)).astype(np.float32)
    assert np.abs(array_intensity(values, WINDOWED) - np.interp(values, (-160, 240), (-1, 1))).max() < 1e-6


def test_a_volume_is_standardised_by_the_mean_and_deviation_that_torch_finds_between_the_percentiles():
    values = np.random.default_rng(0).normal(300, 80, size=(9, 10, 11))
    values[4, 5, 6] = 1e5  # one bright vessel
    own = torch.from_numpy(values).double()
    clipped = own.clamp(own.quantile(0.005), own.quantile(0.995))
    wanted = (clipped - clipped.mean()) / clipped.std()
    found = standardised(values)
    assert found.dtype == np.float32
    assert np.abs(found - wanted.numpy()).max() < 1e-4
    assert found.max() < 5
    assert np.array_equal(array_intensity(values, STANDARDISED), found)


def test_where_the_values_begin_and_what_they_are_measured_in_changes_nothing():
    values = np.random.default_rng(1).normal(size=(6, 6, 6))
    assert np.abs(standardised(values * 1000 + 50_000) - standardised(values)).max() < 1e-3


@pytest.mark.parametrize("values", [np.full((3, 3, 3), 7.0), np.array([[[5.0]]])])
def test_an_even_volume_is_zeros(values):
    assert np.array_equal(standardised(values), np.zeros(values.shape, dtype=np.float32))


def test_a_z_score_counts_the_box_round_what_is_not_zero_and_clips_nothing():
    task = Task(kind="segmentation", classes=("a", "b"), image_size=(8, 8, 8), intensity="z_score")
    inside = np.random.default_rng(0).normal(300, 80, size=(4, 5, 6))
    inside[1, 1, 1] = 1e5
    values = np.zeros((8, 9, 10))
    values[2:6, 3:8, 1:7] = inside
    found = array_intensity(values, task)
    assert np.abs(found[2:6, 3:8, 1:7] - (inside - inside.mean()) / inside.std()).max() < 1e-4
    assert found.dtype == np.float32
    assert not array_intensity(np.full((4, 4, 4), 7.0), task).any()
    assert not array_intensity(np.zeros((4, 4, 4)), task).any()
