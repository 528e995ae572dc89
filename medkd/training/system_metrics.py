"""What the machine was at during an epoch, under the names that MLflow's own page of system metrics looks for."""

from __future__ import annotations

import importlib
from typing import Any

import torch

try:
    _psutil: Any = importlib.import_module("psutil")
except ImportError:  # no dependency of ours: whoever has it sees more
    _psutil = None


def system_metrics(device: torch.device) -> dict[str, float]:
    """Return load of the processors since the last call in percent, memory of this process and of a GPU in megabytes.

    Without ``psutil`` only what torch knows of its GPU.
    """
    found: dict[str, float] = {}
    if _psutil is not None:
        memory = _psutil.virtual_memory()
        found["system/cpu_utilization_percentage"] = float(_psutil.cpu_percent())
        found["system/system_memory_usage_percentage"] = float(memory.percent)
        found["system/process_memory_usage_megabytes"] = _psutil.Process().memory_info().rss / 1e6
    if device.type == "cuda":
        found["system/gpu_0_memory_usage_megabytes"] = torch.cuda.max_memory_allocated(device) / 1e6
    return found
