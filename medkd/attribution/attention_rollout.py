"""Attention rollout: which patches a transformer's tokens were mixed from, layer by layer, whatever was asked."""

from __future__ import annotations

import torch

from data_contracts import ExplanationError
from medkd.attribution._gradients import refuse_differentiable
from medkd.attribution._grid import on_grid, require_finite
from medkd.targets import MultiTarget, Target
from medkd.trace import Trace, frozen
from medkd.trace import trace as run
from medkd.types import AttributionMap

SOURCE = "Abnar & Zuidema 2020 (2005.00928)"
NEEDS = frozenset({"attention"})
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = False, False, False, False, False
TASKS = frozenset({"classification"})


def attention_rollout(trace: Trace, target: Target, *, differentiable: bool = False, residual: float = 0.5) -> AttributionMap:
    """Return the share of each patch in the mean of the last tokens, if attention alone mixed them: values sum to one over the patches.

    It does not know the target, nor the signs of what is mixed: every target of a case gets the same map.

    Args:
        trace: gives the model and the image [batch, channel, *space].
        target: only says for how many targets the map is given.
        differentiable: refused.
        residual: share of a token that passes a block by.

    Returns:
        Map [batch, *space] ([batch, targets, *space] of several targets), not negative, interpolated linearly from the grid of patches.

    Raises:
        ExplanationError: ``NO_ATTENTION`` when the network names no attention layers, ``NOT_DIFFERENTIABLE`` or ``MAP_NOT_FINITE``.
    """
    refuse_differentiable(differentiable, "attention_rollout")
    layer_map = trace.layer_map
    if not layer_map.attention:
        raise ExplanationError(
            "NO_ATTENTION",
            f"expected a transformer whose anatomy names its attention layers, got a {type(trace.model).__name__} without: use cam",
        )
    with frozen(trace.model), torch.no_grad():
        again = run(trace.model, trace.inputs, layers=(*layer_map.attention, layer_map.cam_layer))
        target(again.logits)  # a target that does not exist is an error here as everywhere
        mixed = torch.eye(again.feature(layer_map.attention[0]).shape[-1], device=trace.image.device)
        for layer in layer_map.attention:
            attention = again.feature(layer).float().mean(1)
            block = residual * torch.eye(attention.shape[-1], device=attention.device) + (1 - residual) * attention
            mixed = block / block.sum(2, keepdim=True) @ mixed
    grid = again.feature(layer_map.cam_layer).shape[2:]
    found = on_grid(mixed.mean(1).unflatten(1, tuple(grid)), trace.image.shape[2:])
    if isinstance(target, MultiTarget):
        found = found[:, None].expand(-1, len(target.targets), *found.shape[1:]).clone()
    return require_finite(found, "attention_rollout")
