"""By hand."""

import pytest
import torch

from medkd.measures.sign_agreement import sign_agreement


def test_by_hand():
    teacher = torch.tensor([[[3.0, -2.0], [1.0, 0.0]]])
    student = torch.tensor([[[0.1, 5.0], [9.0, 9.0]]])
    assert float(sign_agreement(student, teacher)[0]) == pytest.approx(4 / 6)
    assert float(sign_agreement(-teacher, teacher)[0]) == 0.0
    assert bool(sign_agreement(student, teacher * 0).isnan().all())
