"""Training that feels 8-bit integers: weights and inputs of layers are rounded in the forward pass, and gradients go straight through.

NNCF has this for torch as well, but compiles its rounding with the machine's C++ compiler when it is first used (torch 2.13: over a minute, and an
error where there is none). Rounding is six lines; ranges are found as static quantisation finds them, so that what was trained is what is
quantised afterwards.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

#: Levels: inputs 0 to 255 with a zero point, weights -127 to 127 without one, per channel out.
_INPUT, _WEIGHT = (0, 255), (-127, 127)
#: How much of a range a further batch replaces.
_SHARE_OF_NEW = 0.1
_SMALLEST = 1e-8


def round_input(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return values at the nearest of 256 even steps from ``low`` to ``high`` (0 is one of them); the gradient is 1 inside and 0 outside.

    With s = (high - low) / 255 and z = round(-low / s): s (clip(round(x / s) + z, 0, 255) - z).
    """
    bottom, top = low.clamp(max=0), high.clamp(min=0)
    scale = ((top - bottom) / (_INPUT[1] - _INPUT[0])).clamp_min(_SMALLEST)
    zero = (-bottom / scale).round().clamp(*_INPUT).to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(values.float(), scale, zero, *_INPUT)


def round_weight(weight: Tensor, axis: int) -> Tensor:
    """Return weights at the nearest of 255 even steps of each channel out, symmetric about 0: s clip(round(w / s), -127, 127), s = max|w| / 127.

    Args:
        weight: of a layer.
        axis: of its channels out.
    """
    others = [place for place in range(weight.ndim) if place != axis]
    scale = (weight.detach().abs().amax(others) / _WEIGHT[1]).clamp_min(_SMALLEST).float()
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight.float(), scale, zero, axis, *_WEIGHT)


class _Rounded(nn.Module):
    """A layer that rounds its input and its weight; its parameters are what they were."""

    def forward(self, values: Tensor, *args: Any) -> Tensor:
        """Return what the layer puts out with input and weight rounded; in training, ranges of inputs are widened."""
        if self.training:
            self._see(values.detach())
        # Found before the parameter of that name, and gone after the pass.
        self.__dict__["weight"] = round_weight(self._parameters["weight"], _channel_axis(self))  # type: ignore[arg-type]
        try:
            low, high = self._buffers["range_low"], self._buffers["range_high"]
            found: Tensor = super().forward(round_input(values, low, high), *args)  # type: ignore[arg-type]
            return found
        finally:
            del self.__dict__["weight"]

    def _see(self, values: Tensor) -> None:
        low, high, seen = (self._buffers[name] for name in _RANGES)
        if low is None or high is None or seen is None:
            return
        share = torch.where(seen > 0, torch.tensor(_SHARE_OF_NEW, device=low.device), torch.tensor(1.0, device=low.device))
        low += share * (values.min().float() - low)
        high += share * (values.max().float() - high)
        seen += 1


_RANGES = ("range_low", "range_high", "range_seen")
_PLAIN = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)
_ROUNDED: dict[type[nn.Module], type[nn.Module]] = {plain: type(f"Rounded{plain.__name__}", (_Rounded, plain), {}) for plain in _PLAIN}
_BACK = {rounded: plain for plain, rounded in _ROUNDED.items()}


def _channel_axis(module: nn.Module) -> int:
    return 1 if isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d) else 0


def simulate_rounding(network: nn.Module) -> nn.Module:
    """Let every convolution and linear layer of a network round, in place; its parameters and state keep their names."""
    for module in list(network.modules()):
        rounded = _ROUNDED.get(type(module))
        if rounded is not None:
            for name in _RANGES:
                module.register_buffer(name, torch.zeros(()), persistent=False)
            module.__class__ = rounded
    return network


def end_rounding(network: nn.Module) -> nn.Module:
    """Let layers compute as they did, in place; the weights stay as they were trained."""
    for module in list(network.modules()):
        plain = _BACK.get(type(module))
        if plain is not None:
            module.__class__ = plain
            for name in _RANGES:
                del module._buffers[name]
                module._non_persistent_buffers_set.discard(name)
    return network
