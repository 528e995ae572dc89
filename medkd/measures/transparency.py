"""How much must be read to follow an answer? The weights on its way."""

from __future__ import annotations

import torch
from torch import Tensor, nn

KIND, LEVEL = "network", "cohort"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, float("inf")), "log10 weights"
SOURCE = "decomposability, Lipton 2018 (1606.03490); counted as in Murdoch et al. 2019 (1901.04592)"
EMPTY = "0 for a network without weights"


def transparency(prediction: nn.Module, reference: Tensor | None = None, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the decimal logarithm of the number of weights that are not zero, one number.

    Pruned weights need not be read. Depth and access (white or black box) stand beside it in the artefact.

    Args:
        prediction: the network.
        reference: not used.
        spacing_mm: not used.
    """
    del reference, spacing_mm
    count = sum(int(parameter.count_nonzero()) for parameter in prediction.parameters())
    return torch.tensor(max(count, 1), dtype=torch.double).log10()


def depth_of(network: nn.Module) -> int:
    """Return the number of layers with a weight matrix: what an answer passes through, at most."""
    weights = [getattr(module, "weight", None) for module in network.modules()]
    return sum(1 for weight in weights if isinstance(weight, Tensor) and weight.ndim > 1)
