"""One batch on several processes: what a term needs of the others' cases."""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def processes() -> int:
    """Return how many processes share a batch; 1 outside of distributed training."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def all_cases(values: Tensor) -> Tensor:
    """Return the rows of all processes in order, [processes * batch, ...]; gradients flow back to those that own them."""
    if processes() == 1:
        return values
    # Imported where it is used: it takes a process group, and most runs have one process.
    from torch.distributed.nn.functional import all_gather

    gathered: Tensor = torch.cat(list(all_gather(values.contiguous())))
    return gathered


def first_row(rows: int) -> int:
    """Return where this process's rows begin among :func:`all_cases`."""
    return distributed.get_rank() * rows if processes() > 1 else 0


def mean_over_processes(total: Tensor) -> Tensor:
    """Return the mean of a total (no gradient) over the processes: a denominator that makes averaged gradients those of one batch."""
    if processes() == 1:
        return total
    # all_reduce writes into what it is given.
    shared = total.detach().clone()
    distributed.all_reduce(shared)
    return shared / processes()
