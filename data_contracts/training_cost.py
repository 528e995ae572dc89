"""What a training cost: seconds, memory, bytes and energy, measured; no part of any digest that versions are known by."""

from __future__ import annotations

from pydantic import Field

from data_contracts.record import Finite, FrozenModel


class TrainingCost(FrozenModel):
    """What a training cost on the machine that it ran on; of a training that was interrupted and resumed, all its parts together.

    Of several processes that share a training (``torchrun``) seconds, bytes and energy are sums and memory is the largest. What was computed
    after the last saved state and lost with a killed process is not counted: a minute of it at most.

    Attributes:
        cpu_seconds: seconds of processor cores, user and system, of the whole process.
        gpu_seconds: seconds for which GPUs were held.
        wall_seconds: seconds that passed, waiting for a free GPU not among them.
        peak_memory_bytes: largest resident memory of the process meanwhile, cohort and libraries included; None where the system does not say.
        peak_gpu_memory_bytes: largest memory that torch allocated on the GPU; None without one.
        read_bytes: bytes that the process read, from files and otherwise; None where the system does not say.
        written_bytes: bytes that it wrote.
        energy_wh: estimated energy of processors and GPUs, Wh; memory, disks, cooling and the rest of the machine are not in it.
        energy_assumption: what the estimate rests on, in words.
        parts: times that it was begun or resumed.
    """

    cpu_seconds: Finite = Field(ge=0)
    gpu_seconds: Finite = Field(default=0.0, ge=0)
    wall_seconds: Finite = Field(ge=0)
    peak_memory_bytes: int | None = Field(default=None, ge=0)
    peak_gpu_memory_bytes: int | None = Field(default=None, ge=0)
    read_bytes: int | None = Field(default=None, ge=0)
    written_bytes: int | None = Field(default=None, ge=0)
    energy_wh: Finite = Field(ge=0)
    energy_assumption: str
    parts: int = Field(default=1, ge=1)

    def __add__(self, later: TrainingCost) -> TrainingCost:
        """Return the cost of both parts of one training; bytes are known where both are."""
        assumptions = dict.fromkeys((self.energy_assumption, later.energy_assumption))
        return TrainingCost(
            cpu_seconds=self.cpu_seconds + later.cpu_seconds,
            gpu_seconds=self.gpu_seconds + later.gpu_seconds,
            wall_seconds=self.wall_seconds + later.wall_seconds,
            peak_memory_bytes=_largest(self.peak_memory_bytes, later.peak_memory_bytes),
            peak_gpu_memory_bytes=_largest(self.peak_gpu_memory_bytes, later.peak_gpu_memory_bytes),
            read_bytes=_sum(self.read_bytes, later.read_bytes),
            written_bytes=_sum(self.written_bytes, later.written_bytes),
            energy_wh=self.energy_wh + later.energy_wh,
            energy_assumption="; then ".join(assumptions),
            parts=self.parts + later.parts,
        )

    def metrics(self) -> dict[str, float]:
        """Return the figures by the names that tracking shows, the unit in each; what is not known is left out."""
        mebibytes = {
            "peak_memory": self.peak_memory_bytes,
            "peak_gpu_memory": self.peak_gpu_memory_bytes,
            "read": self.read_bytes,
            "written": self.written_bytes,
        }
        return {
            "cost_cpu_seconds": self.cpu_seconds,
            "cost_gpu_seconds": self.gpu_seconds,
            "cost_wall_seconds": self.wall_seconds,
            "cost_energy_wh": self.energy_wh,
            **{f"cost_{name}_mib": size / 2**20 for name, size in mebibytes.items() if size is not None},
        }

    def sentence(self) -> str:
        """Return the cost in one sentence, the assumption of the estimate included."""
        gpu = f" and {self.gpu_seconds:,.0f} s of GPUs" if self.gpu_seconds else ""
        memory = "" if self.peak_memory_bytes is None else f", at most {self.peak_memory_bytes / 2**20:,.0f} MiB of memory"
        gpu_memory = "" if self.peak_gpu_memory_bytes is None else f" and {self.peak_gpu_memory_bytes / 2**20:,.0f} MiB of a GPU's"
        return (
            f"Its training took {self.cpu_seconds:,.0f} s of processor cores{gpu}{memory}{gpu_memory}, "
            f"and an estimated {self.energy_wh:.2g} Wh ({self.energy_assumption})."
        )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _largest(one: int | None, other: int | None) -> int | None:
    known = [size for size in (one, other) if size is not None]
    return max(known) if known else None
