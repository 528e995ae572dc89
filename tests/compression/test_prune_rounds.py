from __future__ import annotations

import pytest
import torch

from data_contracts import LossTerm, Pruning, TrainingConfig, Tuning
from medkd.compression.prune_rounds import channels_left, least_important, mask_rounds, round_epochs


def tuning(epochs):
    return Tuning(fit=TrainingConfig(epochs=epochs), terms=(LossTerm(loss="cross_entropy"),))


def test_each_round_takes_the_same_share_and_the_last_ends_where_one_round_would():
    sizes, prune = {"a": 64, "b": 3, "c": 1}, Pruning(share=0.75, steps=2)
    assert channels_left(sizes, prune, 1) == {"a": 32, "b": 2, "c": 1}
    assert channels_left(sizes, prune, 2) == channels_left(sizes, Pruning(share=0.75), 1) == {"a": 16, "b": 1, "c": 1}
    assert channels_left(sizes, Pruning(share=0.99), 1) == dict.fromkeys(sizes, 1)


def test_the_least_important_go_and_of_equal_ones_the_first():
    worth = {"a": torch.tensor([3.0, -1.0, 2.0, 2.0]), "b": torch.tensor([1.0, 2.0])}
    gone = least_important(worth, {"a": 2, "b": 2})
    assert {name: found.tolist() for name, found in gone.items()} == {"a": [1, 2], "b": []}


@pytest.mark.parametrize(("epochs", "steps", "wanted"), [(6, 3, [2, 2, 2]), (7, 3, [2, 2, 3]), (3, 1, [3])])
def test_epochs_are_shared_among_the_rounds(epochs, steps, wanted):
    assert [round_epochs(tuning(epochs), steps, number) for number in range(1, steps + 1)] == wanted
    assert round_epochs(None, steps, 1) is None


@pytest.mark.parametrize(("epochs", "steps", "wanted"), [(9, 2, {3: 1, 6: 2}), (3, 2, {1: 1, 2: 2}), (10, 1, {5: 1})])
def test_masks_are_made_anew_in_even_steps_and_time_is_left_after_the_last(epochs, steps, wanted):
    assert mask_rounds(tuning(epochs), Pruning(share=0.5, steps=steps, dynamic=True)) == wanted
