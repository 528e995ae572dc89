"""Average precision and sensitivities counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from medkd.measures._detection import average_precision, sensitivity_at
from medkd.measures.froc import Detections

#: By falling score: hit .9, false .8, hit .7, false .6; a third lesion is missed. Two images.
IMAGES = [
    Detections(np.array([0.9, -np.inf]), np.array([0.6])),
    Detections(np.array([0.7]), np.array([0.8])),
]


def test_average_precision_counted_by_hand():
    # Recall 1/3 at precision 1, 2/3 at precision 2/3, never 1.
    assert average_precision(IMAGES) == pytest.approx(1 / 3 + 2 / 9)


@pytest.mark.parametrize(("rate", "wanted"), [(0.25, 1 / 3), (0.5, 2 / 3), (1.0, 2 / 3)])
def test_sensitivity_is_a_staircase(rate, wanted):
    assert sensitivity_at(IMAGES, rate) == pytest.approx(wanted)


def test_without_a_lesion_there_is_no_figure_and_without_a_find_it_is_zero():
    empty, missed = Detections(np.zeros(0), np.array([0.5])), Detections(np.array([-np.inf]), np.zeros(0))
    assert np.isnan(average_precision([empty]))
    assert np.isnan(sensitivity_at([empty], 1.0))
    assert average_precision([missed]) == 0
    assert sensitivity_at([missed, empty], 1.0) == 0
