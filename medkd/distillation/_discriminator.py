"""What tells the features of two networks apart, cell by cell, and learns against whom it judges."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from medkd.trace import forked_rng

_HIDDEN = 16
#: Of weights that are not trained.
_SEED = 0


class Reversed(torch.autograd.Function):
    """The identity, whose gradient is turned round and scaled (Ganin et al. 2016, 1505.07818)."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, scale: float) -> Tensor:
        """Return the value itself."""
        ctx.scale = scale
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the gradient turned round."""
        return -ctx.scale * gradients[0], None


class CellDiscriminator(nn.Module):
    """Two linear layers over the channels of each cell, alike for any number of dimensions; the gradient of its weights is turned round.

    What is trained is how far weights have moved from those that were drawn: optimisers that normalise gradients (Adam) would move weights as fast
    however small a reversed gradient is, so that a rate can only be set on the way.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, shape in (("hidden", (_HIDDEN, channels + 1)), ("verdict", (1, _HIDDEN + 1))):
            self.register_buffer(f"{name}_drawn", torch.randn(shape) / math.sqrt(shape[1]))
            self.register_parameter(f"{name}_moved", nn.Parameter(torch.zeros(shape)))

    @classmethod
    def fixed(cls, channels: int, device: torch.device) -> CellDiscriminator:
        """Return one of random weights, the same for equal numbers of channels, which nobody trains."""
        with forked_rng(_SEED):
            made = cls(channels)
        return made.to(device).requires_grad_(False)

    def forward(self, features: Tensor, rate: float = 1.0) -> Tensor:
        """Return a logit a cell, [batch, 1, *grid], of features [batch, channels, *grid]; weights move ``rate`` times as fast as others."""
        cells = functional.silu(self._linear("hidden", features.movedim(1, -1), rate))
        return self._linear("verdict", cells, rate).movedim(-1, 1)

    def _linear(self, name: str, values: Tensor, rate: float) -> Tensor:
        moved: Tensor = Reversed.apply(self.get_parameter(f"{name}_moved"), 1.0)  # type: ignore[no-untyped-call]
        weights = self.get_buffer(f"{name}_drawn") + rate * moved
        return functional.linear(values, weights[:, :-1], weights[:, -1])
