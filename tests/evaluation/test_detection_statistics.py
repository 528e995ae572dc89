"""Figures of drawn cases: the same as of a list of those cases, counted by the plain functions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medkd.evaluation.detection_statistics import MISSED, UNKNOWN, detection_statistics
from medkd.measures._detection import average_precision, sensitivity_at
from medkd.measures.froc import Detections, froc_score

CASES, ROOM = 20, 8


@pytest.fixture(scope="module")
def hits():
    """Return hits of two networks: 0 to 3 lesions a case, scores with ties, the last case unknown."""
    draw = np.random.default_rng(1)
    values = np.full((2, CASES, 2, ROOM), np.nan)
    for seed in range(2):
        for case in range(CASES):
            lesions, wrong = draw.integers(0, 4), draw.integers(0, 5)
            values[seed, case, 0, :lesions] = np.where(draw.random(lesions) < 0.3, MISSED, draw.integers(1, 10, lesions) / 10)
            values[seed, case, 1, :wrong] = draw.integers(1, 10, wrong) / 10
        values[seed, -1] = UNKNOWN
    return values


def listed(hits, rows, seed):
    """Return the detections of some cases one by one."""
    found = []
    for row in rows:
        if row != CASES - 1:
            lesions, wrong = (part[~np.isnan(part)] for part in hits[seed, row])
            found.append(Detections(np.where(lesions == MISSED, -np.inf, lesions), wrong))
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_a_resample_counts_as_the_list_of_its_cases(hits, seed):
    draw = np.random.default_rng(2)
    froc, precision = detection_statistics("centre_hits", hits), detection_statistics("iou10_hits", hits)
    assert set(precision) == {"ap_10"}
    for rows in [np.arange(CASES), *(draw.integers(0, CASES, CASES) for _ in range(10))]:
        images = listed(hits, rows, seed)
        assert froc["cpm"](rows, seed) == pytest.approx(froc_score(images))
        assert froc["sensitivity_at_1"](rows, seed) == pytest.approx(sensitivity_at(images, 1.0))
        assert froc["sensitivity_at_quarter"](rows, seed) == pytest.approx(sensitivity_at(images, 0.25))
        assert precision["ap_10"](rows, seed) == pytest.approx(average_precision(images))


def test_cases_without_lesions_alone_have_no_figure(hits):
    empty = hits.copy()
    empty[:, :, 0] = np.nan
    rows = np.arange(CASES - 1)
    assert math.isnan(detection_statistics("centre_hits", empty)["cpm"](rows, 0))
    assert math.isnan(detection_statistics("iou50_hits", empty)["ap_50"](rows, 0))


def test_who_finds_nothing_has_a_figure_of_zero():
    values = np.full((1, 3, 2, ROOM), np.nan)
    values[0, :, 0, 0] = MISSED
    assert detection_statistics("centre_hits", values)["cpm"](np.arange(3), 0) == 0
    assert detection_statistics("iou10_hits", values)["ap_10"](np.arange(3), 0) == 0
