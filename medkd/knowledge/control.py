"""Controls: a teacher whose answers are its own and whose explanations are not. What helps as much as they do is no explanation."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_contracts import AttributionSource
from medkd.attribution._grid import averaged
from medkd.knowledge.interface import OTHER_HEADS, Knowledge, LiveKnowledge, knowledge_of_head
from medkd.targets import Target
from medkd.trace import Sample
from medkd.types import AttributionMap, FeatureMap, Images, Logits

#: Cells along each axis that ``shuffled`` puts into another order: as coarse as the maps that losses compare.
CELLS = 8


class ControlledKnowledge:
    """A teacher with its logits unchanged; its maps, features and responses are replaced in one of four ways.

    - ``another_patient``: those of the next case of the batch that is another patient's.
    - ``centre_gaussian``: their sum, laid out as a Gaussian round the image's centre (deviation one eighth of each axis).
    - ``random_teacher``: those of a network of the same build with random weights.
    - ``shuffled``: cells of a coarse grid in another order, drawn anew for each case and batch.

    Args:
        teacher: the true teacher, asked about the batch.
        kind: which control.
        sample: the batch; its ``patients`` tell who is another patient (each case its own where they are not given).
        random_teacher: network with random weights, for ``random_teacher``.
    """

    def __init__(self, teacher: Knowledge, kind: AttributionSource, sample: Sample, random_teacher: nn.Module | None = None) -> None:
        self._teacher, self._kind = teacher, kind
        self._order = another_patient(sample.patients, len(sample.image)).to(sample.image.device)
        self._random_teacher = LiveKnowledge(random_teacher, sample.inputs) if random_teacher is not None else teacher

    def logits(self) -> Logits:
        """Return the teacher's own logits."""
        return self._teacher.logits()

    def features(self, layer: str) -> FeatureMap:
        """Return replaced features; what another head answers is the teacher's own."""
        if layer in OTHER_HEADS:
            return self._teacher.features(layer)
        return self._replace((self._source()).features(layer), first_axis=2)

    def attribution(self, explainer: str, target: Target, **options: Any) -> AttributionMap:
        """Return replaced maps."""
        return self._replace(self._source().attribution(explainer, target, **options), first_axis=1)

    def of_head(self, head: str) -> Knowledge:
        """Return what another head of the teacher answers, its explanations replaced alike."""
        seen = copy.copy(self)
        teacher, random_teacher = knowledge_of_head(self._teacher, head), knowledge_of_head(self._random_teacher, head)
        seen._teacher, seen._random_teacher = teacher or self._teacher, random_teacher or self._random_teacher
        return seen

    def for_batch(self, image: Images, labels: Tensor | None = None) -> Knowledge:
        """Return the teacher's own answers about other images: they are answers, not explanations."""
        return self._teacher.for_batch(image, labels)

    def response(self, hidden: Images) -> Tensor:
        """Return replaced responses."""
        return self._replace(self._source().response(hidden), first_axis=2)

    def _source(self) -> Knowledge:
        return self._random_teacher if self._kind is AttributionSource.RANDOM_TEACHER else self._teacher

    def _replace(self, values: Tensor, *, first_axis: int) -> Tensor:
        """Replace values [batch, (channel,) *grid] whose grid begins at ``first_axis``; responses of a classification have none."""
        if self._kind is AttributionSource.ANOTHER_PATIENT:
            return values[self._order]
        if values.ndim == first_axis or self._kind is AttributionSource.RANDOM_TEACHER:
            # A class response has no place: what is left to replace is whose it is.
            return values if self._kind is AttributionSource.RANDOM_TEACHER else values[self._order]
        flat = values.reshape(-1, *values.shape[first_axis:])
        moved = centred(flat) if self._kind is AttributionSource.CENTRE_GAUSSIAN else shuffled(flat, len(values))
        return moved.reshape(values.shape)


def another_patient(patients: Tensor | None, n: int) -> Tensor:
    """Return for each of n cases the index of the next case (cyclically) of another patient; its own where there is none."""
    keys = torch.arange(n) if patients is None else patients.cpu()
    steps = (torch.arange(n)[:, None] + torch.arange(1, n + 1)) % n
    other = keys[steps] != keys[:, None]
    chosen = steps.gather(1, other.int().argmax(1, keepdim=True))[:, 0]
    return torch.where(other.any(1), chosen, torch.arange(n))


def centred(values: Tensor) -> Tensor:
    """Return maps [rows, *grid] with the sum of each laid out as a Gaussian round the centre."""
    bump = torch.ones((), device=values.device)
    for extent in values.shape[1:]:
        place = (torch.arange(extent, device=values.device) - (extent - 1) / 2) / (extent / 8)
        bump = bump[..., None] * torch.exp(-0.5 * place.square())
    total = values.float().flatten(1).sum(1).view(-1, *(1,) * (values.ndim - 1))
    return (total * bump / bump.sum()).to(values.dtype)


def shuffled(values: Tensor, cases: int) -> Tensor:
    """Return maps [rows, *grid] with the cells of a coarse grid in another order; rows of one case share the order.

    Draws from torch's global generator, which training seeds for every epoch.
    """
    grid = [min(CELLS, extent) for extent in values.shape[1:]]
    cells = averaged(values[:, None].float(), grid).flatten(1)
    orders = torch.stack([torch.randperm(cells.shape[1]) for _ in range(cases)]).to(values.device)
    mixed = cells.gather(1, orders.repeat_interleave(len(values) // cases, 0)).reshape(-1, 1, *grid)
    return functional.interpolate(mixed, size=values.shape[1:], mode="nearest")[:, 0].to(values.dtype)
