"""Measures what a training costs: this process's processors, memory and bytes, the GPU that it holds, and from them its energy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from data_contracts import TrainingCost
from medkd.memory_need import PeakMemory
from medkd.training.energy import assumed_watts, energy
from medkd.training.nvml import gpu_joules

_IO = Path("/proc/self/io")


class CostMeter:
    """Begins to measure when it is made.

    Seconds of processors and bytes are the whole process's: where several trainings share one, each is charged with both.

    Args:
        device: that is trained on.
        processes: that share the training; each costs what this one does.

    Raises:
        MissingDependencyError: ``WATTS_INVALID`` when the power that is to be assumed is no number.
    """

    def __init__(self, device: torch.device, *, processes: int = 1) -> None:
        self.processes = processes
        self._device, self._watts = device, assumed_watts()
        self._earlier: TrainingCost | None = None
        self._peak = PeakMemory()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._joules, self._bytes = gpu_joules(device), bytes_moved()
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def resume(self, earlier: Mapping[str, Any] | None) -> None:
        """Add what the training cost before it was interrupted, as :meth:`so_far` gave it."""
        self._earlier = None if not earlier else TrainingCost.model_validate(dict(earlier))

    def so_far(self) -> TrainingCost:
        """Return the cost up to now."""
        on_gpu, times = self._device.type == "cuda", self.processes
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        joules = gpu_joules(self._device)
        counted = None if joules is None or self._joules is None else (joules - self._joules) * times
        gpu = wall * times if on_gpu else 0.0
        watt_hours, words = energy(self._watts, cpu_seconds=cpu * times, gpu_seconds=gpu, gpu_joules=counted)
        read, written = (
            None if now is None or before is None else (now - before) * times
            for now, before in zip(bytes_moved(), self._bytes, strict=True)
        )
        part = TrainingCost(
            cpu_seconds=cpu * times,
            gpu_seconds=gpu,
            wall_seconds=wall,
            peak_memory_bytes=self._peak.read(),
            peak_gpu_memory_bytes=torch.cuda.max_memory_allocated(self._device) if on_gpu else None,
            read_bytes=read,
            written_bytes=written,
            energy_wh=watt_hours,
            energy_assumption=words,
        )
        return part if self._earlier is None else self._earlier + part


def bytes_moved(source: Path = _IO) -> tuple[int | None, int | None]:
    """Return the bytes that this process has read and written since it began (``rchar``, ``wchar``); None where the system does not say."""
    try:
        lines = dict(line.split(": ", 1) for line in source.read_text(encoding="ascii").splitlines())
        return int(lines["rchar"]), int(lines["wchar"])
    except (OSError, KeyError, ValueError):
        return None, None
