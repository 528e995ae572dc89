from __future__ import annotations

import math

import torch

from medkd.experiment.trials import share


def test_a_share_is_counted_among_the_places_that_are_asked_about():
    is_it = torch.tensor([[True, True, False, False], [True, True, True, True], [True, True, True, True]])
    among = torch.tensor([[True, False, True, False], [True, True, True, True], [False, False, False, False]])
    found = share(is_it, among)
    assert found[:2].tolist() == [0.5, 1.0]
    assert math.isnan(float(found[2]))


def test_places_of_pictures_are_counted_case_by_case_and_an_answer_of_a_classifier_is_one_place():
    is_it = torch.zeros(2, 2, 2, dtype=torch.bool)
    is_it[1, 0] = True
    assert share(is_it, torch.ones_like(is_it)).tolist() == [0.0, 0.5]
    assert share(torch.tensor([True, False]), torch.tensor([True, True])).tolist() == [1.0, 0.0]
