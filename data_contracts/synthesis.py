"""Cases that no patient has: pictures made from what a teacher keeps of its training data, or of noise, for students that see no case."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from data_contracts.record import Finite, FrozenModel
from data_contracts.task import Task

#: What a student is trained on: cases of the recipe's data, pictures synthesised from its teacher, or noise (their control).
TrainingCases = Literal["real", "synthesised", "noise"]
MadeCases = Literal["synthesised", "noise"]
MADE_CASES: tuple[MadeCases, ...] = ("synthesised", "noise")


class SynthesisConfig(FrozenModel):
    """How pictures are made from a teacher (DeepInversion, Yin et al. 2020, 1912.08795): noise is changed until the teacher answers with a class
    that was drawn for it, and until the mean and variance that its batch normalisations meet are those that they kept of the training.

    Attributes:
        cases: pictures for the students of a seed, as many of each class.
        steps: of Adam; 0 keeps the noise.
        batch_size: pictures that are changed together: their statistics are compared.
        learning_rate: of Adam, along half a cosine, for every level of a picture (``medkd/synthesis/invert.py``).
        statistics: weight of the distance to the running statistics.
        total_variation: weight of the mean squared difference of neighbouring pixels.
        norm: weight of the mean square of the picture.
        shift: pixels by which a batch is rolled at random in each step, along each axis.
        mirror: whether a batch is mirrored along its last axis in half of the steps; not where classes are told by the side.
    """

    cases: int = Field(default=256, ge=4)
    steps: int = Field(default=200, ge=0)
    batch_size: int = Field(default=64, ge=4)
    learning_rate: Finite = Field(default=0.1, gt=0)
    statistics: Finite = Field(default=1.0, ge=0)
    total_variation: Finite = Field(default=0.1, ge=0)
    norm: Finite = Field(default=0.0, ge=0)
    shift: int = Field(default=2, ge=0)
    mirror: bool = True


class SynthesisSpec(FrozenModel):
    """Everything that the pictures of a recipe depend on beside the teacher.

    Attributes:
        recipe: name of the recipe, which file names and draws follow from.
        task: what a network sees at once, and its classes.
        seeds: of the students: each seed has pictures of its own.
        kinds: which are asked for, ``synthesised``, ``noise`` or both.
        config: how they are made.
    """

    recipe: str
    task: Task
    seeds: tuple[int, ...]
    kinds: tuple[MadeCases, ...]
    config: SynthesisConfig
