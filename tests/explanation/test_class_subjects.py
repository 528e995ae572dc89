from __future__ import annotations

import torch

from medkd.explanation.class_subjects import runs_of


def test_runs_are_neighbours_with_one_answer():
    assert runs_of(torch.tensor([1, 1, 0, 1])) == [(0, 1), (2, 2), (3, 3)]
    assert runs_of(torch.tensor([2])) == [(0, 0)]
