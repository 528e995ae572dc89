"""Layer by layer: which channels carry the answer, and where a student's layers resemble its teacher's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from medkd.attribution._gradients import gradients
from medkd.targets import Target
from medkd.trace import Trace, frozen, layer_map_of
from medkd.trace import trace as run

RETURNS = "layers"
SOURCE = "linear CKA, Kornblith et al. 2019 (1905.00414); channels by gradient times activation, Molchanov et al. 2017 (1611.06440)"
SCOPE, ACCESS = "global", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = False, False, False, False, True
TASKS = frozenset({"classification", "segmentation"})
#: Layers are compared on a grid that both have: at most so many cells along an axis.
CELLS = 8


@dataclass(frozen=True)
class LayerTrace:
    """Two networks side by side.

    Attributes:
        layers: of the student.
        channels: per layer, those that carry most of the score, most first.
        shares: per layer, the share of the score's first-order change that each of those carries.
        teacher_layers: of the teacher; the student's own where there is none.
        similarity: linear CKA of each pair, float64 [layers, teacher layers], 0 to 1.
    """

    layers: tuple[str, ...]
    channels: tuple[tuple[int, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    teacher_layers: tuple[str, ...]
    similarity: Tensor


def layer_trace(trace: Trace, target: Target, *, teacher: nn.Module | None = None, top: int = 5) -> LayerTrace:
    """Follow a batch through the named layers of a network, and of its teacher beside it.

    Args:
        trace: student and images; the more cases, the more the similarity means.
        target: the score whose channels are ranked.
        teacher: None compares the student with itself.
        top: channels that are kept per layer.
    """
    own = _features(trace.model, trace, target)
    other = own if teacher is None else _features(teacher, trace, target)
    named = {layer: _ranked(*pair, top) for layer, pair in own.items()}
    similarity = torch.stack([torch.stack([linear_cka(_rows(a), _rows(b)) for b, _ in other.values()]) for a, _ in own.values()])
    return LayerTrace(
        layers=tuple(own),
        channels=tuple(channels for channels, _ in named.values()),
        shares=tuple(shares for _, shares in named.values()),
        teacher_layers=tuple(other),
        similarity=similarity,
    )


def linear_cka(one: Tensor, other: Tensor) -> Tensor:
    """Return the linear centred kernel alignment of two sets of features, [n, features] each; NaN where one is constant."""
    one, other = one.double() - one.double().mean(0), other.double() - other.double().mean(0)
    scale = (one.T @ one).norm() * (other.T @ other).norm()
    shared = (other.T @ one).norm().square()
    return torch.where(scale > 0, shared / scale.clamp_min(1e-300), torch.full_like(scale, float("nan")))


def _features(model: nn.Module, trace: Trace, target: Target) -> dict[str, tuple[Tensor, Tensor]]:
    """Return each tapped layer's output and the score's gradient at it."""
    found = {}
    for layer in layer_map_of(model).feature_layers:
        with frozen(model), torch.enable_grad():
            again = run(model, trace.inputs, leaf=layer)
            features = again.feature(layer)
            slope = gradients(target, again.logits, features)[:, 0]
        found[layer] = (features.detach().float(), slope.detach().float())
    return found


def _ranked(features: Tensor, slope: Tensor, top: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    carried = (features * slope).flatten(2).sum(2).abs().mean(0)
    shares = carried / carried.sum().clamp_min(1e-30)
    values, places = shares.sort(descending=True, stable=True)
    return tuple(places[:top].tolist()), tuple(values[:top].tolist())


def _rows(features: Tensor) -> Tensor:
    """Return features on the common grid as rows, [batch x cells, features]."""
    space = features.ndim - 2
    if space == 2:
        features = functional.adaptive_avg_pool2d(features, (CELLS, CELLS))
    elif space == 3:
        features = functional.adaptive_avg_pool3d(features, (CELLS, CELLS, CELLS))
    return features.flatten(2).movedim(1, 2).flatten(0, 1)
