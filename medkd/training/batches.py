"""Batches that training draws of a cohort: in which order, on which device, and which part of one is a process's own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from data_contracts import DataError, Task, TrainingConfig
from medkd.seeds import derive_seed
from medkd.trace import Sample
from medkd.volumes.vary import vary

if TYPE_CHECKING:  # Fabric brings torch's compiler with it, two seconds of every process; only one that trains has use for it
    from lightning_fabric import Fabric


class TrainingCohort(Protocol):
    """What training draws from: a function of rows, never of what was drawn before."""

    def __len__(self) -> int:
        """Return the number of cases."""
        ...

    def draw(self, rows: Tensor, task: Task, config: TrainingConfig, generator: torch.Generator) -> Sample:
        """Return the batch of some rows."""
        ...

    def patients(self) -> list[str]:
        """Return the patient key of each case."""
        ...


def resident(cohort: TrainingCohort, device: torch.device) -> TrainingCohort:
    """Return the cohort on the device where that has a memory of its own and half of what is free is enough."""
    size, move = getattr(cohort, "nbytes", None), getattr(cohort, "to", None)
    if device.type != "cuda" or size is None or move is None or size() > torch.cuda.mem_get_info(device)[0] / 2:
        return cohort
    moved: TrainingCohort = move(device)
    return moved


def epoch_samples(cohort: TrainingCohort, task: Task, config: TrainingConfig, *, seed: int, epoch: int) -> Iterator[Sample]:
    """Yield the batches of one epoch: a function of (cohort, seed, epoch). The last, smaller batch is left out.

    Args:
        cohort: what is drawn from.
        task: what its cases are shown as.
        config: batch size, samples of an epoch, and how views vary.
        seed: of the training.
        epoch: finished epochs before it.
    """
    generator = torch.Generator().manual_seed(derive_seed("epoch", seed, epoch))
    wanted = max(config.samples_per_epoch or len(cohort), config.batch_size)
    rounds = [torch.randperm(len(cohort), generator=generator) for _ in range(math.ceil(wanted / len(cohort)))]
    # Whole rounds one after another: no case comes a second time before every other has come once.
    order = torch.cat(rounds)[:wanted]
    for begin in range(0, len(order) - config.batch_size + 1, config.batch_size):
        sample = cohort.draw(order[begin : begin + config.batch_size], task, config, generator)
        yield vary(sample, config, generator, row_channels=task.row_channels)


def own_part(sample: Sample, fabric: Fabric) -> Sample:
    """Return this process's part of a batch that is shared: rows that follow one another, so that together they are in order."""
    if fabric.world_size == 1:
        return sample
    rows = len(sample.image)
    if rows % fabric.world_size:
        raise DataError("BATCH_UNEVEN", f"expected a batch that {fabric.world_size} processes can share evenly, got {rows} cases")
    each = rows // fabric.world_size
    return sample.rows(slice(fabric.global_rank * each, (fabric.global_rank + 1) * each))


def on_device(sample: Sample, device: torch.device) -> Sample:
    """Return a batch on a device, its patients as they are."""
    # Patients stay: they are compared on the CPU, and no kernel reads them.
    return replace(sample.mapped(lambda value: value.to(device)), patients=sample.patients)
