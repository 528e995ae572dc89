"""Several teachers of one student, and what they stored."""

from __future__ import annotations

from pydantic import Field

from data_contracts.knowledge import KnowledgeRef
from data_contracts.model import Checkpoint
from data_contracts.record import Finite, FrozenModel


class TeacherSet(FrozenModel):
    """The trained networks that an arm asks, in its order; those of a teacher with folds follow one another.

    Attributes:
        networks: their checkpoints, under the name of the teacher that each belongs to.
        class_figures: what the gate measured per class, by the arm of a checkpoint; empty where nothing is weighed by it.
    """

    networks: tuple[tuple[str, Checkpoint], ...] = Field(min_length=1)
    class_figures: dict[str, dict[str, Finite | None]] = Field(default_factory=dict)

    @property
    def first(self) -> Checkpoint:
        """Return the one that answers where only one can."""
        return self.networks[0][1]

    @property
    def digests(self) -> tuple[str, ...]:
        """Return the digests of the weights, in order."""
        return tuple(checkpoint.weights_digest for _, checkpoint in self.networks)

    def of(self, name: str) -> tuple[Checkpoint, ...]:
        """Return the networks of a teacher."""
        return tuple(checkpoint for teacher, checkpoint in self.networks if teacher == name)


class KnowledgeSet(FrozenModel):
    """What several teachers stored, each by itself: any weighting can be taken of it, and another teacher joins without asking these again.

    Attributes:
        parts: knowledge of each network, in the order of an arm, under the name of the teacher that it belongs to.
    """

    parts: tuple[tuple[str, KnowledgeRef], ...] = Field(min_length=1)

    @property
    def digests(self) -> tuple[str, ...]:
        """Return the digests of the teachers' weights, in order."""
        return tuple(part.teacher_digest for _, part in self.parts)
