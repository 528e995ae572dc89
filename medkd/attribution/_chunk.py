"""How many images go through a network with their graph at once: found once per network and size, and remembered."""

from __future__ import annotations

import math
from collections.abc import Callable
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


def in_memory(
    model: nn.Module, image: Tensor, rows: Tensor, run: Callable[[Tensor], Tensor], join: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Run all rows at once, or in halves where the device's memory does not suffice: what fitted is remembered for the next time.

    Args:
        model: whose passes they are.
        image: [batch, channel, *space], of their size.
        rows: int64 [n], what is to be run.
        run: of some rows.
        join: of what two halves gave.

    Raises:
        torch.OutOfMemoryError: when a single row does not fit.
    """
    try:
        return run(rows)
    except torch.OutOfMemoryError:
        if len(rows) == 1:
            raise
    middle = len(rows) // 2
    known = _FOUND.setdefault(model, {})
    known[(tuple(image.shape[1:]), image.device.type)] = max(1, middle)
    return join(in_memory(model, image, rows[:middle], run, join), in_memory(model, image, rows[middle:], run, join))


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
