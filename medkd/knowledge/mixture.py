"""Several teachers answer as one: their probabilities are averaged, in log space, with weights per case, voxel or class.

The divergence from an average is not the average of divergences: KL(sum_k w_k p_k || q) <= sum_k w_k KL(p_k || q). The student is pulled to one
answer and not to several that contradict one another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from data_contracts import KnowledgeError
from medkd.attribution._grid import averaged
from medkd.knowledge.interface import Knowledge
from medkd.targets import Target
from medkd.types import AttributionMap, FeatureMap, Images, Logits

Weighting = Literal["mean", "confidence", "entropy", "validation"]
#: From log probabilities [teacher, batch, classes, *space], and labels [batch] or [batch, *space] where there are some, to weights
#: [teacher, batch, classes or 1, *space or 1s]; they sum to 1 over teachers.
Weigher = Callable[[Tensor, Tensor | None], Tensor]
#: Least weight of a class that a teacher's validation figure gives it: none is silenced by a few cases.
LEAST_FIGURE = 0.01


def mixture_log_probabilities(log_p: Tensor, weights: Tensor) -> Tensor:
    """Return log sum_k w_k p_k [batch, classes, *space], normalised over the classes.

    Args:
        log_p: [teacher, batch, classes, *space].
        weights: as a :data:`Weigher` returns them; those that differ between classes make a product that is normalised again.
    """
    return functional.log_softmax(torch.logsumexp(log_p + weights.log(), dim=0), dim=1)


def mean_weights(log_p: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return the same weight for every teacher; labels are not read."""
    del labels
    shape = (*log_p.shape[:2], *(1,) * (log_p.ndim - 2))
    return torch.full(shape, 1 / len(log_p), device=log_p.device)


def entropy_weights(log_p: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return softmax_k(-H_k) per case, or per voxel: who is sure counts more. Labels are not read."""
    del labels
    entropy = -(log_p.exp() * log_p).sum(2, keepdim=True)
    return torch.softmax(-entropy, dim=0)


def confidence_weights(log_p: Tensor, labels: Tensor | None) -> Tensor:
    """Return (1 - softmax_k(CE_k)) / (K - 1), CE_k a teacher's cross-entropy with the label (CA-MKD); entropy's weights where there is none.

    Of a segmentation CE_k is the mean over the voxels of one label in one case, and so are the weights: a voxel's own error would hand the
    label to the student voxel by voxel, and the mean over a case is its background's.

    Args:
        log_p: [teacher, batch, classes, *space].
        labels: int64 [batch] or [batch, *space], -1 where missing.
    """
    unsure = entropy_weights(log_p)
    if labels is None or len(log_p) == 1:
        return unsure
    known = labels >= 0
    index = labels.clamp_min(0)
    errors = -log_p.gather(2, index[None, :, None].expand(len(log_p), -1, 1, *labels.shape[1:]))
    if labels.ndim > 1:
        errors = _over_regions(errors, index, known, log_p.shape[2])
    weights = (1 - torch.softmax(errors, dim=0)) / (len(log_p) - 1)
    return torch.where(known[None, :, None], weights, unsure)


def _over_regions(errors: Tensor, index: Tensor, known: Tensor, classes: int) -> Tensor:
    """Return at each voxel the mean error over its label's voxels in its case; errors [teacher, batch, 1, *space]."""
    found = errors.new_zeros(errors.shape)
    for label in range(classes):
        inside = ((index == label) & known)[None, :, None]
        count = inside.flatten(3).sum(3) if errors.ndim > 3 else inside.sum(3)
        total = (errors * inside).flatten(3).sum(3)
        mean = (total / count.clamp_min(1)).view(*errors.shape[:3], *(1,) * (errors.ndim - 3))
        found = torch.where(inside, mean, found)
    return found


def validation_weights(log_p: Tensor, figures: Tensor) -> Tensor:
    """Return per class each teacher's share of the figures; figures [teacher, classes], NaN where a class was not measured."""
    usable = torch.nan_to_num(figures.to(log_p), nan=LEAST_FIGURE).clamp_min(LEAST_FIGURE)
    shares = usable / usable.sum(0, keepdim=True)
    return shares.view(len(log_p), 1, -1, *(1,) * (log_p.ndim - 3)).expand(-1, log_p.shape[1], *(-1,) * (log_p.ndim - 2))


def weigher(kind: Weighting, figures: Sequence[Mapping[str, float | None]], classes: Sequence[str]) -> Weigher:
    """Return how a batch's answers are weighed.

    Args:
        kind: of an arm.
        figures: of each teacher by class, for ``validation``.
        classes: of the task, in order.
    """
    if kind == "confidence":
        return confidence_weights
    if kind == "validation":
        table = torch.tensor([[float("nan") if (one := row.get(name)) is None else one for name in classes] for row in figures])
        return lambda log_p, _labels: validation_weights(log_p, table)
    return entropy_weights if kind == "entropy" else mean_weights


class MixtureKnowledge:
    """Several teachers' answers about one batch, as one teacher's.

    Logits are log probabilities: they have no level. Features are the first one's. Maps are mixed with the weights of the answers, each in the units
    of its own teacher's margin: their sum explains the weighted mean of the margins, and not the margin of the mixture, which is no linear
    function of them; a teacher of larger logits has the larger map.

    Args:
        teachers: asked about the batch.
        weigh: how their answers are weighed.
        labels: of the batch, where the weights follow them (``confidence``): int64 [batch] or [batch, *space], -1 where missing.
    """

    def __init__(self, teachers: Sequence[Knowledge], weigh: Weigher, labels: Tensor | None = None) -> None:
        self._teachers, self._weigh, self._labels = tuple(teachers), weigh, labels
        self._log_p: Tensor | None = None
        self._weights: Tensor | None = None

    def log_probabilities(self) -> Tensor:
        """Return each teacher's, [teacher, batch, classes, *space]."""
        if self._log_p is None:
            self._log_p = torch.stack([functional.log_softmax(one.logits().float(), dim=1) for one in self._teachers])
        return self._log_p

    def weights(self) -> Tensor:
        """Return the weights of the answers."""
        if self._weights is None:
            self._weights = self._weigh(self.log_probabilities(), self._labels)
        return self._weights

    def logits(self) -> Logits:
        """Return the log probabilities of the mixture."""
        return mixture_log_probabilities(self.log_probabilities(), self.weights())

    def features(self, layer: str) -> FeatureMap:
        """Return the first teacher's features: those of several networks have no common axes."""
        return self._teachers[0].features(layer)

    def attribution(self, explainer: str, target: Target, **options: Any) -> AttributionMap:
        """Return the weighted sum of the maps, on the coarsest of their grids."""
        space = self.log_probabilities().ndim - 3
        weights = self.weights().mean(2)  # over the classes: a map is of one margin between them
        maps = [one.attribution(explainer, target, **options) for one in self._teachers]
        cells = [min(extents) for extents in zip(*(one.shape[_grid_of(one, space) :] for one in maps), strict=True)]
        total: Tensor = torch.zeros((), device=maps[0].device)
        for weight, one in zip(weights, maps, strict=True):
            total = total + _on_cells(one, cells) * _on_map(weight, cells, one.ndim)
        return total

    def for_batch(self, image: Images, labels: Tensor | None = None) -> Knowledge:
        """Return what the same teachers say of other images, weighed by what they say of those.

        Raises:
            KnowledgeError: ``LABELS_NOT_MOVED`` where the weights of voxels follow labels, and those of these images are not given.
        """
        own = self._labels
        if labels is None and own is not None and own.ndim > 1:
            raise KnowledgeError(
                "LABELS_NOT_MOVED",
                f"expected the labels of {len(image)} other images beside them, voxels are weighed by their labels: for_batch(image, labels)",
            )
        # A case's label is that of each of its views.
        shown = None if own is None else own if labels is None else labels
        return MixtureKnowledge([one.for_batch(image, labels) for one in self._teachers], self._weigh, shown)

    def response(self, hidden: Images) -> Tensor:
        """Return the change of the mixture's log probabilities when parts are hidden, which moves nothing."""
        return self.logits() - self.for_batch(hidden, self._labels).logits()


def _grid_of(maps: Tensor, space: int) -> int:
    """Return the first axis of the grid of maps [batch, (targets,) *grid]; pictures of a classification have two, volumes three."""
    return maps.ndim - space if space else 1 + (maps.ndim > 4)


def _on_cells(maps: Tensor, cells: list[int]) -> Tensor:
    if list(maps.shape[-len(cells) :]) == cells:
        return maps
    flat = maps.reshape(len(maps), -1, *maps.shape[-len(cells) :])
    return averaged(flat, cells).reshape(*maps.shape[: -len(cells)], *cells)


def _on_map(weight: Tensor, cells: list[int], ndim: int) -> Tensor:
    """Return one teacher's weights [batch, *space or 1s] on the grid of maps with ``ndim`` axes."""
    if weight[0].numel() == 1:
        return weight.reshape(-1, *(1,) * (ndim - 1))
    shrunk = averaged(weight[:, None], cells)[:, 0]
    return shrunk.reshape(len(weight), *(1,) * (ndim - 1 - len(cells)), *cells)
