"""Gradients of explained scores, shared by everything that follows them back: one target or several, with the graph or without."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from data_contracts import ExplanationError
from medkd.attribution._reach import Box, boxes_of, groups_of, reach_of
from medkd.targets import LesionMargin, MultiTarget, Target, parts_of
from medkd.trace import Trace, frozen
from medkd.trace import trace as run


def refuse_differentiable(asked: bool, explainer: str) -> None:
    """Raise ``NOT_DIFFERENTIABLE`` where a loss asks an explainer that keeps no graph."""
    if asked:
        raise ExplanationError(
            "NOT_DIFFERENTIABLE", f"expected an explainer that declares DIFFERENTIABLE, {explainer} does not: choose cam or grad_cam"
        )


def gradients(target: Target, logits: Tensor, wrt: Tensor, *, create_graph: bool = False) -> Tensor:
    """Return d score / d ``wrt`` per target, [batch, targets, ...]: the forward pass is shared, cases do not mix.

    Args:
        target: one, or several.
        logits: with a graph down to ``wrt``.
        wrt: [batch, ...].
        create_graph: keep the graph of the gradients.
    """
    parts = parts_of(target)
    # Summed over the batch: cases do not mix in eval mode, so that each gets the gradient of its own score.
    found = [
        torch.autograd.grad(part(logits).sum(), wrt, create_graph=create_graph, retain_graph=create_graph or index + 1 < len(parts))[0]
        for index, part in enumerate(parts)
    ]
    return torch.stack(found, dim=1)


def as_asked(maps: Tensor, target: Target) -> Tensor:
    """Return maps [batch, targets, *space] as [batch, *space] where a single target was asked for."""
    return maps if isinstance(target, MultiTarget) else maps[:, 0]


def image_gradients(model: nn.Module, inputs: Mapping[str, Tensor], target: Target) -> Tensor:
    """Return d score / d image of a frozen network, float32 [batch, targets, channel, *space].

    Lesions so far apart that no voxel is seen by two of them share one backward pass: their gradients are told apart by place.
    """
    image = inputs["image"].detach().requires_grad_()
    with frozen(model), torch.enable_grad():
        logits = run(model, {**inputs, "image": image}).logits
        shared = _far_apart(model, image, target)
        if shared is None:
            return gradients(target, logits, image).detach().float()
        return _split(target, shared, logits, image)


def _far_apart(model: nn.Module, image: Tensor, target: Target) -> tuple[list[Box], list[list[int]]] | None:
    """Return the box of each lesion with all it can see, and groups of lesions whose boxes do not meet; None where it does not apply."""
    parts = parts_of(target)
    masks = [part.mask for part in parts if isinstance(part, LesionMargin)]
    # Only lesion scores are sums over places; and the mask of one lesion must hold for every image of the batch.
    if len(masks) != len(parts) or len(parts) < 2 or any(len(mask) != 1 for mask in masks):
        return None
    # Lesions that meet as they are cannot lie apart with all they see; the reach, which takes a pass, is not asked for then.
    if len(groups_of(boxes_of(masks, (0,) * (image.ndim - 2)))) == len(parts):
        return None
    boxes = boxes_of(masks, reach_of(model, image))
    groups = groups_of(boxes)
    return (boxes, groups) if len(groups) < len(parts) else None


def _split(target: Target, shared: tuple[list[Box], list[list[int]]], logits: Tensor, image: Tensor) -> Tensor:
    boxes, groups = shared
    parts = parts_of(target)
    found = torch.zeros(len(image), len(parts), *image.shape[1:], device=image.device)
    for place, group in enumerate(groups):
        score = torch.stack([parts[index](logits).sum() for index in group]).sum()
        (together,) = torch.autograd.grad(score, image, retain_graph=place + 1 < len(groups))
        # Outside of its box a lesion of the group has no gradient: what lies there belongs to the others.
        for index in group:
            here = (slice(None), slice(None), *(slice(begin, end) for begin, end in boxes[index]))
            found[:, index][here] = together.float()[here]
    return found


def kept_gradients(trace: Trace, target: Target, layer: str, *, differentiable: bool) -> tuple[Tensor, Tensor]:
    """Return features [batch, features, *grid] of a layer and d score / d features, [batch, targets, features, *grid], both float32.

    Args:
        trace: with ``differentiable`` its own graph is used and the layer must be tapped; otherwise the frozen model runs once more with
            the graph beginning at the layer.
        target: any differentiable function of the logits.
        layer: name of the layer, or ``encoder`` for the deepest encoder block.
        differentiable: keep the graphs of both.

    Raises:
        ExplanationError: ``LAYER_UNKNOWN``, ``LAYER_NOT_TAPPED`` or ``GRAPH_MISSING``.
    """
    layer = trace.layer_map.resolve(layer)
    if differentiable:
        features = trace.feature(layer)
        if not features.requires_grad:
            raise ExplanationError(
                "GRAPH_MISSING",
                f"expected a trace with a graph at {layer!r} for a differentiable map, got one made under no_grad or a frozen model",
            )
        return features.float(), gradients(target, trace.logits, features, create_graph=True).float()
    with frozen(trace.model), torch.enable_grad():
        again = run(trace.model, trace.inputs, leaf=layer)
        features = again.feature(layer)
        found = gradients(target, again.logits, features)
    return features.detach().float(), found.detach().float()
