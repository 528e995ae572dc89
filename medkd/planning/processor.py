"""The name of what computes, as the system or torch says it."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from medkd.precision import training_device


def processor_name(info: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the GPU that trains, else of the processor with its instruction set: ``AMD EPYC … (AVX2)``."""
    device = training_device()
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    named = ""
    if info.is_file():
        lines = (line.partition(":") for line in info.read_text(encoding="utf-8", errors="replace").splitlines())
        named = next((value.strip() for name, _, value in lines if name.strip() == "model name"), "")
    return f"{named or platform.processor() or platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"
