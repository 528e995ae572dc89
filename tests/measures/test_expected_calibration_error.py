from __future__ import annotations

import pytest
import torch

from medkd.measures.expected_calibration_error import expected_calibration_error


def test_it_is_the_weighted_gap_over_bins():
    probability = torch.rand(400, generator=torch.Generator().manual_seed(0))
    labels = (torch.rand(400, generator=torch.Generator().manual_seed(1)) < probability**2).long()
    total = 0.0
    for low in range(15):
        confidence = torch.maximum(probability, 1 - probability).double()
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            right = ((probability > 0.5).long() == labels)[inside].double().mean()
            total += float(inside.double().mean()) * abs(float(right) - float(confidence[inside].mean()))
    assert float(expected_calibration_error(probability, labels)) == pytest.approx(total, abs=1e-9)


def test_certain_and_right_is_zero_certain_and_wrong_is_one():
    certain = torch.tensor([1.0, 0.0, 1.0])
    assert float(expected_calibration_error(certain, torch.tensor([1, 0, 1]))) == pytest.approx(0)
    assert float(expected_calibration_error(certain, torch.tensor([0, 1, 0]))) == pytest.approx(1)


def test_no_case_is_undefined():
    assert bool(expected_calibration_error(torch.zeros(0), torch.zeros(0)).isnan())
