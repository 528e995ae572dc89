"""Several teachers that are stores: each answers about the same batch, and nothing of one is mixed with another's before it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from data_contracts import KnowledgeError, Task, TrainingConfig
from medkd.knowledge.extract import Cases
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.stored import CohortWithTeacherOutputs, StoredSource
from medkd.trace import TEACHER_PART, Sample


class StoredMember:
    """One of several stores in a teacher's place: it reads its own part of what a batch carries.

    Args:
        source: the store.
        number: of the teacher in its set.
    """

    def __init__(self, source: StoredSource, number: int) -> None:
        self.source, self._prefix = source, f"{number}{TEACHER_PART}"

    def for_batch(self, sample: Sample) -> Knowledge:
        """Return what the store says of the batch."""
        own = {key.removeprefix(self._prefix): value for key, value in sample.teacher.items() if key.startswith(self._prefix)}
        return self.source.for_batch(replace(sample, teacher=own))

    def layers(self) -> tuple[str, ...]:
        """Return the stored layers."""
        return self.source.layers()

    def shape(self, layer: str, image: Tensor) -> tuple[int, ...]:
        """Return the shape that a layer was stored with."""
        return self.source.shape(layer, image)

    def ask_for(self, layers: Sequence[str]) -> None:
        """Check that the layers are stored."""
        self.source.ask_for(layers)

    def prepared(self, device: torch.device, *, channels_last: bool) -> StoredMember:
        """Return the source itself: answers come with the batch."""
        del device, channels_last
        return self


@dataclass(frozen=True)
class CohortWithSeveralTeachers:
    """A cohort whose batches carry what several stores say of them, each under its number.

    Attributes:
        members: the cohort with the answers of each store.
    """

    members: tuple[CohortWithTeacherOutputs, ...]

    def __post_init__(self) -> None:
        """Refuse stores of different views: a batch has one.

        Raises:
            KnowledgeError: ``KNOWLEDGE_MISSING``.
        """
        first = self.members[0].query
        for other in (member.query for member in self.members):
            if (other.config.views, other.views) != (first.config.views, first.views):
                raise KnowledgeError(
                    "KNOWLEDGE_MISSING",
                    f"expected the same views in the stores of all teachers, one has {first.config.views} and another {other.config.views}, or they "
                    "are drawn otherwise: extract them with one recipe",
                )

    @property
    def cohort(self) -> Cases:
        """Return the cases without answers."""
        return self.members[0].cohort

    def __len__(self) -> int:
        return len(self.cohort)

    def patients(self) -> list[str]:
        """Return the patient key of each case."""
        return self.cohort.patients()

    def nbytes(self) -> int:
        """Return the bytes of what is drawn from."""
        return self.cohort.nbytes()

    def to(self, device: torch.device) -> CohortWithSeveralTeachers:
        """Return the cohort with its images on a device."""
        moved = self.cohort.to(device)
        return CohortWithSeveralTeachers(tuple(replace(member, cohort=moved) for member in self.members))

    def draw(self, rows: Tensor, task: Task, config: TrainingConfig, generator: torch.Generator) -> Sample:
        """Return a batch with the answers of all stores about the same images, or the same views of them."""
        query = self.members[0].query
        if query.config.views and query.views is not None:
            views = torch.randint(query.config.views, (len(rows),), generator=generator)
            # A view is a function of the image and its number: every store is asked about the same one.
            drawn = [member.with_views(rows, views, task) for member in self.members]
            return replace(drawn[0], teacher=_numbered([sample.teacher for sample in drawn]))
        sample = self.cohort.draw(rows, task, config, generator)
        return replace(sample, teacher=_numbered([member.answers(rows, sample) for member in self.members]))


def _numbered(answers: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{number}{TEACHER_PART}{part}": value for number, own in enumerate(answers) for part, value in own.items()}
