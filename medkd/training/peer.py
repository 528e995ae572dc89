"""The second of two students that learn from each other."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from data_contracts import KnowledgeError
from medkd.knowledge.online import PeerSource
from medkd.knowledge.source import KnowledgeSource
from medkd.trace import Sample, Trace, trace
from medkd.training.adapters import DistillationAdapters
from medkd.training.objective import Objective


class PeerStudent(nn.Module):
    """A student that is trained beside the one that is kept, by the same objective, with that one in the place of its peer.

    Args:
        source: through which the first student hears it.
        adapters: pairs of layers, projections, temperatures of its own.
    """

    def __init__(self, source: PeerSource, adapters: DistillationAdapters) -> None:
        super().__init__()
        self.network, self.adapters = source.network.train(), adapters
        # In a tuple: not a part of the module.
        self._outside = (source,)
        self._kept: Trace | None = None

    @property
    def source(self) -> PeerSource:
        """Return the source through which whoever speaks is heard."""
        return self._outside[0]

    def look(self, inputs: Mapping[str, Tensor], layers: tuple[str, ...]) -> None:
        """Make the pass over a batch, and speak of it from now on."""
        self._kept = trace(self.network, inputs, layers=layers)
        self.source.speaking = self._kept

    def loss(
        self, other: Trace, asked: tuple[Objective, KnowledgeSource], sample: Sample, *, share: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return its loss of the batch that it looked at, and what a journal shows of it, under ``peer/``.

        Args:
            other: the first student's pass, which speaks now.
            asked: the objective of both, and all teachers.
            sample: the batch.
            share: of training that is done.
            step: number of the step.
        """
        if self._kept is None:
            raise KnowledgeError("TEACHER_MISSING", "expected a pass of the peer over the batch before its loss: call look first")
        objective, source = asked
        self.source.speaking = other
        total, values = objective(self._kept, source.for_batch(sample), sample, self.adapters, share=share, step=step)
        # Nothing of a batch stays: its graph is as large as the step's.
        self._kept = self.source.speaking = None
        return total, {"peer/loss": torch.as_tensor(total).detach(), **{f"peer/{label}": value for label, value in values.items()}}
