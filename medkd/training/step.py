"""One step of training as one module: what Fabric wraps, on one device or on many."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from medkd.knowledge.interface import LAST
from medkd.knowledge.source import KnowledgeSource
from medkd.trace import TEACHER_IMAGE, Sample, layer_map_of, trace
from medkd.training.adapters import DistillationAdapters
from medkd.training.balance import LossBalancer
from medkd.training.influence import influence_of
from medkd.training.objective import Objective
from medkd.training.peer import PeerStudent


class StepBatch:
    """A sample on its way through Fabric's wrapper, which refuses frozen dataclasses and leaves unknown objects alone.

    ``share`` of training is done at ``step``, the number of the optimiser's steps so far.
    """

    def __init__(self, sample: Sample, *, share: float = 0.0, step: int = 0) -> None:
        self.sample, self.share, self.step = sample, share, step


class DistillationStep(nn.Module):
    """The student, what ties it to its teacher, and what balances its terms; the teacher is outside of the module tree.

    Args:
        student: the network that learns.
        objective: its weighted terms.
        source: teacher, or None.
        adapters: pairs of layers, projections, temperatures.
        balancer: None leaves the weights as they are.
    """

    def __init__(
        self,
        student: nn.Module,
        objective: Objective,
        source: KnowledgeSource | None,
        adapters: DistillationAdapters,
        balancer: LossBalancer | None,
    ) -> None:
        super().__init__()
        self.student, self.adapters = student, adapters
        self.balancer = balancer
        self.peer: PeerStudent | None = None
        # In a tuple: were one of them a module, as an attribute it would be registered, saved and trained with the student.
        self._outside: tuple[Objective, KnowledgeSource | None] = (objective, source)

    def learn_with(self, peer: PeerStudent | None) -> None:
        """Let a second student learn in the same steps: its weights and moments are part of the training's state."""
        self.peer = peer

    def forward(self, batch: StepBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and what a journal shows of it: the value of each term, weights and cosines where they follow something."""
        sample, (objective, source) = batch.sample, self._outside
        # The easier image is the teacher's: a student that could see it would learn from it.
        inputs = {name: value for name, value in sample.inputs.items() if name != TEACHER_IMAGE}
        student = trace(self.student, inputs, layers=self._layers(objective))
        if self.peer is not None:
            self.peer.look(inputs, self._layers(objective))
        knowledge = None if source is None else source.for_batch(sample)
        terms = list(objective.evaluate(student, knowledge, sample, self.adapters, share=batch.share, step=batch.step))
        # Before the sum: the factors of this very step follow what is measured in it.
        if self.balancer is not None and self.balancer.is_due(batch.step) and torch.is_grad_enabled():
            self.balancer.measure(terms, [p for p in self.student.parameters() if p.requires_grad])
            if knowledge is not None:
                self.balancer.compare(student, knowledge, sample)
        terms = terms if self.balancer is None else self.balancer.divided(terms)
        total, shown = student.logits.new_zeros((), dtype=torch.float32), dict[str, Tensor]()
        factors = {term.label: 1.0 if self.balancer is None else self.balancer.factor(term) for term, _, _ in terms}
        influence = influence_of([(term, weight * factors[term.label], value) for term, weight, value in terms], objective.influence_cap)
        shown |= influence.shown
        for term, weight, value in terms:
            factor = factors[term.label]
            weighted = weight * factor * value
            total = total + (influence.factor * weighted if influence.factor is not None and term.is_feedback else weighted)
            shown[term.label] = value.detach()
            if self.balancer is not None or term.spec.schedule is not None:
                shown[f"weight/{term.label}"] = torch.tensor(weight * factor, device=total.device)
        for label, temperature in self.adapters.temperatures.items():
            shown[f"temperature/{label}"] = temperature(batch.share).detach()
        if self.peer is not None and source is not None:
            own, of_peer = self.peer.loss(student, (objective, source), sample, share=batch.share, step=batch.step)
            total, shown = total + own, shown | of_peer
        return total, shown

    def _layers(self, objective: Objective) -> tuple[str, ...]:
        layer_map = layer_map_of(self.student)
        reads: Any = objective.needs & {"head", "explainer", "features"} or self.balancer is not None
        layers: tuple[str, ...] = (layer_map.cam_layer,) if reads else ()
        # What a second head's explanations are read from, where a term is about it.
        layers += tuple(layer for name, layer in layer_map.other_cam_layers.items() if name in {term.spec.head for term in objective.terms})
        compared = (*self.adapters.student_layers(), *objective.own_layers())
        layers += tuple(layer_map.resolve(layer) for layer in compared if layer != LAST)
        if self.peer is not None:
            # Each of two peers is the other's teacher too.
            layers += tuple(layer_map.resolve(layer) for layer in self.peer.source.asked_layers)
        return layers + (layer_map.deep_heads if "deep_heads" in objective.needs else ())
