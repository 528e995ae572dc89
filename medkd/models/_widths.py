"""A network with fewer channels in some of its layers: what is left of one that was pruned, built again without the library that pruned it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from data_contracts import RecipeError

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)
#: Layers that can lose channels.
WITH_CHANNELS = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear, _BatchNorm)


def widths_of(module: nn.Module) -> tuple[int, int]:
    """Return the channels in and out of a convolution, a linear layer or a batch normalisation (the same twice)."""
    if isinstance(module, _BatchNorm):
        return module.num_features, module.num_features
    names = ("in_features", "out_features") if isinstance(module, nn.Linear) else ("in_channels", "out_channels")
    inputs, outputs = (int(getattr(module, name)) for name in names)
    return inputs, outputs


def keep_channels(module: nn.Module, inputs: Tensor | None, outputs: Tensor | None) -> None:
    """Keep some channels of a layer, in place; its weights are sliced, and so are statistics of batch normalisation.

    Args:
        module: one of ``WITH_CHANNELS``, its channels not in several groups of a convolution.
        inputs: int64, channels in that are kept, in their new order; None keeps all.
        outputs: alike of channels out.
    """
    if isinstance(module, _BatchNorm):
        _keep_features(module, outputs)
        return
    transposed = isinstance(module, TRANSPOSED)
    weight: Tensor = module.weight.detach()  # type: ignore[operator]
    # Transposed convolutions hold their weight as [in, out, *kernel], all others as [out, in, *kernel].
    for axis, kept in ((0 if transposed else 1, inputs), (1 if transposed else 0, outputs)):
        weight = weight if kept is None else weight.index_select(axis, kept.to(weight.device))
    bias = module.bias
    module.weight = nn.Parameter(weight.clone())
    if outputs is not None and isinstance(bias, Tensor):
        module.bias = nn.Parameter(bias.detach().index_select(0, outputs.to(bias.device)))
    names = ("in_features", "out_features") if isinstance(module, nn.Linear) else ("in_channels", "out_channels")
    for name, kept in zip(names, (inputs, outputs), strict=True):
        if kept is not None:
            setattr(module, name, len(kept))


def _keep_features(module: _BatchNorm, kept: Tensor | None) -> None:
    if kept is None:
        return
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = getattr(module, name)
        if isinstance(value, Tensor):
            chosen = value.detach().index_select(0, kept.to(value.device))
            setattr(module, name, nn.Parameter(chosen) if isinstance(value, nn.Parameter) else chosen)
    module.num_features = len(kept)


def narrowed(network: nn.Module, widths: Mapping[str, tuple[int, int]]) -> nn.Module:
    """Return a network whose named layers have so many channels in and out, in place; which weights they hold is not said: they are loaded next.

    Raises:
        RecipeError: ``LAYER_WIDTHS`` when there is no such layer, or it would have to become wider.
    """
    known = dict(network.named_modules())
    for name, (inputs, outputs) in widths.items():
        module = known.get(name)
        if not isinstance(module, WITH_CHANNELS) or any(a > b for a, b in zip((inputs, outputs), widths_of(module), strict=True)):
            held = "no such layer" if not isinstance(module, WITH_CHANNELS) else f"one of {widths_of(module)}"
            raise RecipeError("LAYER_WIDTHS", f"expected a layer {name!r} that can be narrowed to {(inputs, outputs)} channels, got {held}")
        keep_channels(module, torch.arange(inputs), torch.arange(outputs))
    return network
