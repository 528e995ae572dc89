"""The energy that a GPU has taken, as NVIDIA's driver counts it; None where it does not (before Volta, other makers, no GPU)."""

from __future__ import annotations

import ctypes
import functools

import torch

_SUCCESS = 0


def gpu_joules(device: torch.device) -> float | None:
    """Return the joules that a CUDA device took since its driver was loaded, by all its users; None where nobody counts them.

    Source: NVML API reference, ``nvmlDeviceGetTotalEnergyConsumption`` (millijoules, Volta and later).
    """
    library = _library() if device.type == "cuda" else None
    if library is None:
        return None
    handle, counted = ctypes.c_void_p(), ctypes.c_ulonglong()
    # By its UUID: CUDA_VISIBLE_DEVICES numbers devices anew, NVML does not.
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}".encode()
    if library.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(handle)) != _SUCCESS:
        return None
    if library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(counted)) != _SUCCESS:
        return None
    return counted.value / 1000


@functools.cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        return library if library.nvmlInit_v2() == _SUCCESS else None
    except (OSError, AttributeError):  # no driver, or one of another kind
        return None
