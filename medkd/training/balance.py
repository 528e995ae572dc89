"""Weights that follow what is measured: units of the task's gradient, a guard against harm, and the agreement of explanations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from data_contracts import LossBalancing
from medkd.attribution.cam import cam
from medkd.distillation._reduce import over_batch, pooled, unit_norm
from medkd.distillation._together import mean_over_processes
from medkd.knowledge.interface import Knowledge
from medkd.knowledge.targets import teacher_target
from medkd.trace import Sample, Trace
from medkd.training.objective import BoundTerm, Objective, TermValue, reads_explanations

_TINY = 1e-12
#: Cells along each axis at which class maps are compared for their agreement.
GRID = 8
#: Least share of the learning rate that agreement leaves.
LEAST_RATE = 0.1


class LossBalancer(nn.Module):
    """Measures the terms of an objective every few steps and scales their weights. Its state is part of a checkpoint.

    Args:
        config: what is measured and what follows from it.
        objective: its terms that read labels and no teacher are the task.
    """

    task_norms: Tensor
    norms: Tensor
    cosines: Tensor
    measured: Tensor
    distances: Tensor

    def __init__(self, config: LossBalancing, objective: Objective) -> None:
        super().__init__()
        self.config = config
        self.labels = [term.label for term in objective.terms]
        self._explaining = {term.label for term in objective.terms if reads_explanations(term.needs)}
        count = len(self.labels)
        # Of the dense head, and of the one that classifies.
        self.log_variances = nn.Parameter(torch.zeros(2)) if config.uncertainty else None
        # Sums of gradient norms, the task's and the term's own, over the measurements that count for each term.
        self.register_buffer("task_norms", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("norms", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("cosines", torch.full((count,), float("nan"), dtype=torch.float64))
        # Measurements made of each term, and of the agreement.
        self.register_buffer("measured", torch.zeros(count + 1, dtype=torch.float64))
        # First and smoothed distance of class maps, 1 - agreement.
        self.register_buffer("distances", torch.full((2,), float("nan"), dtype=torch.float64))

    def is_due(self, step: int) -> bool:
        """Return whether a step is measured."""
        return step % self.config.every == 0

    def measure(self, values: Sequence[TermValue], parameters: Sequence[nn.Parameter]) -> None:
        """Take up the gradients of the terms of one step with respect to the student's parameters, at unit weight.

        One backward pass per term; the graph is kept for the step itself.
        """
        if not (self.config.norms or self.config.do_no_harm):
            return
        task = [value.weight * value.value for value in values if value.term.is_task]
        if not task:
            return
        reference = gradient_of(torch.stack(task).sum(), parameters)
        reference_norm = reference.norm()
        for term, weight, value in values:
            if term.is_task or weight == 0:
                continue
            place = self.labels.index(term.label)
            own = gradient_of(value, parameters)
            cosine = float((own @ reference) / (own.norm() * reference_norm).clamp_min(_TINY))
            if float(self.measured[place]) < self.config.warmup:
                self.norms[place] += float(own.norm())
                self.task_norms[place] += float(reference_norm)
            before = float(self.cosines[place])
            smooth = self.config.momentum
            self.cosines[place] = cosine if before != before else smooth * before + (1 - smooth) * cosine
            self.measured[place] += 1

    def compare(self, student: Trace, knowledge: Knowledge, sample: Sample) -> None:
        """Take up how far the student's class maps of the teacher's answer are from the teacher's: 1 - cosine, smoothed."""
        if not (self.config.agreement_weight or self.config.agreement_rate):
            return
        with torch.no_grad():
            target, present = teacher_target(knowledge)
            student_map, teacher_map = pooled(cam(student, target), GRID), pooled(knowledge.attribution("cam", target).float(), GRID)
            gap = over_batch(1 - (unit_norm(student_map) * unit_norm(teacher_map)).sum(1), sample, present)
            distance = float(mean_over_processes(gap))
        if self.distances[0] != self.distances[0]:
            self.distances[:] = distance
        else:
            self.distances[1] = self.config.momentum * self.distances[1] + (1 - self.config.momentum) * distance
        self.measured[-1] += 1

    def divided(self, values: list[TermValue]) -> list[TermValue]:
        """Return the terms of a step, those of each head's task divided by that head's learnt variance; the logarithm is added to the first."""
        if self.log_variances is None:
            return values
        seen: set[int] = set()
        found = []
        for one in values:
            place = int(one.term.spec.head == "classification")
            if not one.term.is_task:
                found.append(one)
                continue
            variance = self.log_variances[place]
            weight = one.weight if one.weight > 0 else 1.0
            # Divided by its weight: the sum of a step multiplies by it again.
            penalty = torch.zeros_like(variance) if place in seen else variance / weight
            found.append(one._replace(value=torch.exp(-variance) * one.value + penalty))
            seen.add(place)
        return found

    def factor(self, term: BoundTerm) -> float:
        """Return what a term's weight is multiplied by."""
        if term.is_task:
            return 1.0
        place = self.labels.index(term.label)
        factor = 1.0
        if self.config.norms and float(self.norms[place]) > 0:
            factor *= float(self.task_norms[place]) / max(float(self.norms[place]), _TINY)
        if self.config.do_no_harm:
            factor *= damping(float(self.cosines[place]), self.config.worst)
        if term.label in self._explaining:
            factor *= self._left() ** self.config.agreement_weight
        return factor

    def rate(self) -> float:
        """Return what the learning rate is multiplied by."""
        return max(LEAST_RATE, min(1.0, self._left() ** self.config.agreement_rate)) if self.config.agreement_rate else 1.0

    def curves(self) -> dict[str, float]:
        """Return what a journal shows: the smoothed cosine of each measured term with the task, and the agreement."""
        found = {f"cosine/{label}": float(c) for label, c in zip(self.labels, self.cosines, strict=True) if c == c}
        if self.distances[1] == self.distances[1]:
            found["agreement"] = 1 - float(self.distances[1])
        return found

    def _left(self) -> float:
        """Return the smoothed distance of class maps as a share of the first."""
        first, now = (float(distance) for distance in self.distances)
        return 1.0 if first != first or first <= 0 else now / first


def damping(cosine: float, worst: float) -> float:
    """Return 1 for a gradient that does not oppose the task's, falling to 0 where their cosine is -``worst``."""
    return 1.0 if cosine != cosine or cosine >= 0 else max(0.0, 1 + cosine / worst)


def gradient_of(value: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the gradient of a scalar as one float64 vector, averaged over the processes that share a batch; the graph is kept."""
    if not value.requires_grad:
        return torch.zeros(sum(p.numel() for p in parameters), dtype=torch.float64, device=value.device)
    found = torch.autograd.grad(value, list(parameters), retain_graph=True, allow_unused=True)
    parts = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
    flat = torch.cat([part.detach().flatten().double() for part in parts])
    return mean_over_processes(flat)
