"""Peaks in mm, apart, highest first."""

import pytest
import torch

from medkd.attribution.response_peaks import peaks_of, response_peaks
from medkd.targets import class_margin, lesion_margin
from medkd.trace import trace


def test_peaks_lie_apart_in_millimetres():
    values = torch.zeros(6, 20, 20)
    values[1, 5, 5], values[1, 5, 8], values[2, 5, 5], values[4, 15, 10] = 3.0, 2.5, 2.0, 1.0
    found = peaks_of(values, spacing_mm=(6.0, 1.0, 1.0), separation_mm=5.0)
    assert [peak.place for peak in found] == [(1, 5, 5), (2, 5, 5), (4, 15, 10)]
    assert found[1].offset_mm == pytest.approx((12.0, 5.0, 5.0))
    assert [peak.value for peak in found] == [3.0, 2.0, 1.0]
    assert len(peaks_of(values, spacing_mm=(6.0, 1.0, 1.0), separation_mm=2.0)) == 4
    assert peaks_of(-values.abs()) == ()


def test_every_case_has_its_own(make_network, make_sample, task):
    sample = make_sample(2)
    target = class_margin(1) if task == "classification" else lesion_margin(sample.masks)
    found = response_peaks(trace(make_network().eval(), sample.image), target, most=3)
    assert len(found) == 2
    assert all(len(peaks) == 3 and peaks[0].value >= peaks[1].value for peaks in found)
