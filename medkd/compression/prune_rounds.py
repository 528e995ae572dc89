"""How many channels are left after each round of pruning, which go, and when: geometric, so that each round takes the same share of what is there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from data_contracts import Pruning, Tuning


def channels_left(sizes: Mapping[str, int], prune: Pruning, number: int) -> dict[str, int]:
    """Return the channels of each group after a round, at least one.

    Args:
        sizes: channels of each group before the first round, by its name.
        prune: share in all, and rounds.
        number: of the round, from 1; after the last a share of ``1 - prune.share`` is left.
    """
    left = (1 - prune.share) ** (number / prune.steps)
    return {name: max(1, round(size * left)) for name, size in sizes.items()}


def least_important(importance: Mapping[str, Tensor], left: Mapping[str, int]) -> dict[str, Tensor]:
    """Return the channels that go, int64 in ascending order, by the group's name: the least important, of equal ones the first."""
    return {name: torch.argsort(worth, stable=True)[: max(0, len(worth) - left[name])].sort().values for name, worth in importance.items()}


def round_epochs(tune: Tuning | None, steps: int, number: int) -> int | None:
    """Return the epochs of tuning after a round: an even share, the last round has what is left over; None where nothing is tuned."""
    if tune is None:
        return None
    each = tune.fit.epochs // steps
    return each if number < steps else tune.fit.epochs - each * (steps - 1)


def mask_rounds(tune: Tuning | None, prune: Pruning) -> dict[int, int]:
    """Return the round of dynamic pruning that comes after an epoch, by the number of finished epochs.

    They are spread evenly, and as much time as lies between two is left after the last for what remains to adapt.
    """
    epochs = 0 if tune is None else tune.fit.epochs
    return {max(number, number * epochs // (prune.steps + 1)): number for number in range(1, prune.steps + 1)}
