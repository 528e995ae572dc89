"""What a run will need, step by step, as far as it can be told before."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from data_contracts.record import Finite, FrozenModel


class PlanBasis(StrEnum):
    """What a step's time rests on."""

    MEASURED = "measured steps"
    COUNTED = "counted passes"
    RULE = "rule of thumb"


class PlannedStep(FrozenModel):
    """What one step of a run will need.

    Attributes:
        name: of the step: ``teacher``, an arm, ``evaluation``, …
        runs: times that it is done: an arm once per seed.
        seconds: of all its runs together, as many at once as there are worker processes.
        memory_bytes: peak memory of a process that does it; None where nothing is known of it.
        disk_bytes: that all its runs leave on disk.
        parameters: of the network that is trained; None of other steps.
        batches: of one run's training; None of other steps.
        basis: what the time rests on.
    """

    name: str
    runs: int = Field(ge=1)
    seconds: Finite = Field(ge=0)
    memory_bytes: int | None = Field(default=None, ge=0)
    disk_bytes: int = Field(default=0, ge=0)
    parameters: int | None = Field(default=None, ge=0)
    batches: int | None = Field(default=None, ge=1)
    basis: PlanBasis


class RunPlan(FrozenModel):
    """What a recipe will need on this machine.

    Attributes:
        recipe: its name.
        processor: that was probed, and in which precision.
        worker_processes: that train at the same time; 0 works in the main process.
        steps: in their order.
        memory_bytes: of all processes at the worst moment: as many trainings as run at once, and the main process beside worker processes.
        disk_bytes: that the run leaves.
        seconds: of the whole.
        free_memory_bytes: None where the system does not say.
        free_disk_bytes: where the run's folder will lie.
        probe_seconds: that the probe took.
        assumed: what had to be assumed, a sentence each.
        warnings: what will not do, a sentence each.
    """

    recipe: str
    processor: str
    worker_processes: int = Field(ge=0)
    steps: tuple[PlannedStep, ...]
    memory_bytes: int = Field(ge=0)
    disk_bytes: int = Field(ge=0)
    seconds: Finite = Field(ge=0)
    free_memory_bytes: int | None = None
    free_disk_bytes: int
    probe_seconds: Finite = Field(ge=0)
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
