"""How many images go through a network with their graph at once: found once per network and size, and remembered."""

from __future__ import annotations

import math
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from medkd.trace import frozen, trace

#: Bytes that the activations of one chunk may take.
BUDGET = {"cpu": 1 << 30}
GPU_BUDGET = 8 << 30
#: On a CPU larger chunks leave the caches: they are not faster, they only take memory.
MOST = {"cpu": 16}
GPU_MOST = 256
#: Voxels that go forward at once on a CPU, sixteen pictures of 64 by 64: more leave its caches (twice as slow for pictures of 128 by 128).
CPU_VOXELS = 16 * 64 * 64
_FOUND: WeakKeyDictionary[nn.Module, dict[tuple[tuple[int, ...], str], int]] = WeakKeyDictionary()


def chunk_of(model: nn.Module, image: Tensor) -> int:
    """Return how many images [batch, channel, *space] of this size are followed back at once.

    What autograd keeps of one image is counted in a dry pass.
    """
    kind = image.device.type
    key, known = (tuple(image.shape[1:]), kind), _FOUND.setdefault(model, {})
    if key not in known:
        budget, most = BUDGET.get(kind, GPU_BUDGET), MOST.get(kind, GPU_MOST)
        known[key] = max(1, min(most, budget // max(1, kept_bytes(model, image[:1]))))
    return known[key]


def passes_at_once(image: Tensor) -> int:
    """Return how many images [batch, channel, *space] of this size go forward at once without a graph."""
    if image.device.type != "cpu":
        return GPU_MOST
    return max(1, min(MOST["cpu"], CPU_VOXELS // math.prod(image.shape[2:])))


def kept_bytes(model: nn.Module, image: Tensor) -> int:
    """Return the bytes that autograd keeps of one image's forward pass, each storage once."""
    storages: dict[int, int] = {}
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with frozen(model), torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        kept = trace(model, image.detach().requires_grad_())
        total = sum(storages.values())
        del kept
    return total
