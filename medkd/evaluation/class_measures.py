"""What a network does with each class of a task that has more than two."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_contracts import Task
from medkd.evaluation.bootstrap import Statistic, auc_of
from medkd.measures.dice import dice

#: Quantity of a class's probability: its number and its name follow.
PROBABILITY_OF = "probability_of_"
#: Least number of classes at which each has figures of its own: of two, one figure says all.
MIN_CLASSES = 3


def figure_name(class_name: str) -> str:
    """Return how a class is called in names of figures."""
    return class_name.lower().replace(" ", "_")


def classified(logits: Tensor, labels: Tensor, task: Task) -> dict[str, Tensor]:
    """Return per class ``recall_CLASS`` [n] (1 where it is answered, NaN in cases of another class) and its probability [n]; empty of two classes.

    Args:
        logits: [n, classes].
        labels: int64 [n].
        task: names the classes.
    """
    if len(task.classes) < MIN_CLASSES:
        return {}
    chances, answers = logits.softmax(1).double(), logits.argmax(1)
    found: dict[str, Tensor] = {}
    for index, name in enumerate(map(figure_name, task.classes)):
        found[f"{PROBABILITY_OF}{index}_{name}"] = chances[:, index]
        found[f"recall_{name}"] = torch.where(labels == index, (answers == index).double(), torch.nan)
    return found


def segmented(answer: Tensor, masks: Tensor, task: Task) -> dict[str, Tensor]:
    """Return ``dice_CLASS`` [n] of each foreground class; empty of two classes.

    Args:
        answer: class of every pixel, [n, *space].
        masks: of the same shape.
        task: names the classes.
    """
    if len(task.classes) < MIN_CLASSES:
        return {}
    return {f"dice_{figure_name(name)}": dice(answer == index, masks == index) for index, name in enumerate(task.classes) if index}


def class_statistic(quantity: str, values: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, Statistic]:
    """Return ``auc_CLASS``, of a class's probability [seeds, n] against all other classes."""
    number, _, name = quantity.removeprefix(PROBABILITY_OF).partition("_")
    return {f"auc_{name}": auc_of(values, (labels == int(number)).astype(np.int64))}
