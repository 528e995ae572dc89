"""Shares by hand."""

import pytest
import torch

from medkd.measures._guided import Guided
from medkd.measures.inside_mass_gap import inside_mass_gap


def test_the_difference_of_the_shares():
    mask = torch.tensor([[[1, 0], [0, 0]]])
    student, teacher = torch.tensor([[[1.0, -1.0], [1.0, 1.0]]]), torch.tensor([[[-3.0, 1.0], [0.0, 0.0]]])
    assert float(inside_mass_gap(student, Guided(teacher, mask))) == pytest.approx(0.5)
    assert bool(inside_mass_gap(student, Guided(teacher, mask * 0)).isnan().all())
