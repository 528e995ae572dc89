"""A network's convolutions as products of small ones: what a student has to beat at its own size."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from data_contracts import RecipeError
from medkd.trace import layer_map_of

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
#: Halvings of the interval in which the share of ranks is looked for.
HALVINGS = 12


def factorised(network: nn.Module, share: float) -> nn.Module:
    """Return a copy whose convolutions are Tucker-2 products: 1x1 to a share of the channels, the kernel, 1x1 back.

    Factors are the leading singular vectors of the two channel modes (truncated higher-order SVD, De Lathauwer et al. 2000; of
    convolutions: Kim et al. 2016, 1511.06530). A convolution that would not become smaller stays, and so does the head, whose weights
    class maps are made of.

    Args:
        network: with an anatomy.
        share: of the channels that is kept as rank, in (0, 1]; at least one.
    """
    small = copy.deepcopy(network)
    head = layer_map_of(small).head
    for name, module in list(small.named_modules()):
        if isinstance(module, _CONVOLUTIONS) and name != head and module.groups == 1:
            product = _product(module, share)
            if _count(product) < _count(module):
                parent, _, last = name.rpartition(".")
                setattr(small.get_submodule(parent), last, product)
    return small


def share_for(network: nn.Module, most: int) -> float:
    """Return the largest share at which a network has at most ``most`` parameters.

    Raises:
        RecipeError: ``COMPRESSION_IMPOSSIBLE`` when even ranks of one leave more.
    """
    low, high = 1e-6, 1.0
    if _count(factorised(network, low)) > most:
        raise RecipeError(
            "COMPRESSION_IMPOSSIBLE",
            f"expected the teacher to fit into {most} parameters, ranks of one leave {_count(factorised(network, low))}",
        )
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _count(factorised(network, middle)) <= most else (low, middle)
    return low


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _product(module: nn.Module, share: float) -> nn.Sequential:
    """Return three convolutions whose product is closest to one in the leading subspaces of its channels."""
    is_transposed = isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d)
    weight: Tensor = module.weight.detach()  # type: ignore[operator]
    kernel = weight.transpose(0, 1) if is_transposed else weight
    outputs, inputs = kernel.shape[:2]
    first, last = max(1, round(share * inputs)), max(1, round(share * outputs))
    into, out_of = _leading(kernel.transpose(0, 1), first), _leading(kernel, last)
    core = torch.einsum("oi...,or,is->rs...", kernel, out_of, into)
    flat = nn.Conv2d if kernel.ndim == 4 else nn.Conv3d
    before, after = flat(inputs, first, 1, bias=False), flat(last, outputs, 1, bias=module.bias is not None)
    middle = _middle(module, first, last)
    ones = (1,) * (kernel.ndim - 2)
    with torch.no_grad():
        before.weight.copy_(into.T.reshape(first, inputs, *ones))
        after.weight.copy_(out_of.reshape(outputs, last, *ones))
        middle.weight.copy_(core.transpose(0, 1) if is_transposed else core)  # type: ignore[operator]
        if after.bias is not None and isinstance(module.bias, Tensor):
            after.bias.copy_(module.bias)
    return nn.Sequential(before, middle, after)


def _middle(module: nn.Module, inputs: int, outputs: int) -> nn.Module:
    """Return a convolution with another number of channels, everything else as it was."""
    names = ["kernel_size", "stride", "padding", "dilation"]
    if isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
        names.append("output_padding")
    made: nn.Module = type(module)(inputs, outputs, bias=False, **{name: getattr(module, name) for name in names})
    return made


def _leading(kernel: Tensor, rank: int) -> Tensor:
    """Return the leading left singular vectors [first axis, rank] of a kernel unfolded along its first axis."""
    vectors, _, _ = torch.linalg.svd(kernel.flatten(1).double(), full_matrices=False)
    leading: Tensor = vectors[:, :rank].to(kernel.dtype)
    return leading
