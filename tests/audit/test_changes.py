"""Changes of answers, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medkd.audit.answers import Answers
from medkd.audit.changes import PutToTest, Truth, changes_of

BEFORE = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
AFTER = np.array([[0.4, 0.6], [0.5, 0.5], [0.2, 0.8]])


def changed(before, after, labels=(0, 0, 1), classes=("benign", "malignant"), reference=None):
    test = PutToTest("text", "mark", tuple(range(len(labels))), before, after, before, 1.0)
    return changes_of(test, Truth(["a", "b", "c"], np.array(labels), reference or (None,) * len(labels), classes))


def test_probabilities_by_hand():
    found = changed(Answers(BEFORE), Answers(AFTER))
    assert found.toward == "malignant"
    assert found.effect == pytest.approx([0.5, 0.1, 0])
    assert found.magnitude == pytest.approx([0.5, 0.1, 0])
    assert found.control == pytest.approx([0, 0, 0])
    assert found.flips.tolist() == [1, 0, 0]
    assert found.correlated.tolist() == [0, 0, 1]
    assert [figure(np.arange(3), 0) for figure in found.figures] == [1.0, 1.0]


def test_an_effect_is_told_of_the_class_that_gains():
    found = changed(Answers(AFTER), Answers(BEFORE))
    assert found.toward == "benign"
    assert found.effect.mean() == pytest.approx(0.2)


def test_of_three_classes_the_one_that_moves_most_is_told():
    before, after = np.full((3, 3), 1 / 3), np.array([[0.5, 0.3, 0.2]] * 3)
    found = changed(Answers(before), Answers(after), classes=("a", "b", "c"), labels=(-1, 0, 1))
    assert (found.toward, found.directions, found.figures) == ("a", 6, None)
    assert np.isnan(found.correlated[0])
    assert found.magnitude == pytest.approx([1 / 6] * 3)


def test_label_maps_by_hand():
    one, two = torch.zeros(2, 4, dtype=torch.long), torch.zeros(2, 4, dtype=torch.long)
    one[0, :2], two[0, :1] = 1, 1
    empty = torch.zeros_like(one)
    none = np.zeros((3, 0))
    found = changed(Answers(none, (one, one, empty)), Answers(none, (two, one, empty)), reference=(one, None, one))
    assert found.effect[[0, 2]] == pytest.approx([2 / 3 - 1, 0])
    assert np.isnan(found.effect[1])
    assert found.magnitude == pytest.approx([1 / 3, 0, 0])
    assert found.flips.tolist() == [1, 0, 0]
    assert found.volume[:2] == pytest.approx([-0.5, 0])
    assert np.isnan(found.volume[2])
    assert found.toward == ""
