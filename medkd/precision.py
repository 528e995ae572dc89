"""Which number format training computes in: bfloat16 where the hardware computes it, float32 where it would only be emulated.

A processor without bfloat16 instructions still runs such a network, by converting to and from float32 in every operation: 13 to 30 times
slower, for nothing. So ``precision: auto`` looks before it chooses, and whoever asks for bf16 by name is told what it costs.
"""

from __future__ import annotations

import functools
import logging
import os
import platform
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import torch
from torch import nn

_LOG = logging.getLogger("medkd")
Precision = Literal["fp32", "bf16"]
PrecisionRequest = Literal["auto", "fp32", "bf16"]
#: First CUDA compute capability whose cores compute bfloat16 (Ampere; NVIDIA CUDA C++ Programming Guide, arithmetic instructions).
CUDA_WITH_BF16 = (8, 0)
#: Names of Linux's /proc/cpuinfo: AVX512-BF16 (Cooper Lake, Zen 4 and later), AMX (Sapphire Rapids and later), Armv8.6 BF16.
CPU_FLAGS_WITH_BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
#: ``ONEDNN_MAX_CPU_ISA`` that still leave oneDNN its bfloat16 instructions (oneDNN, CPU dispatcher control).
ONEDNN_WITH_BF16 = ("ALL", "DEFAULT", "AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX512_CORE_AMX", "AVX512_CORE_AMX_FP16", "AVX10_1_512")


def resolve_precision(wanted: PrecisionRequest, device: torch.device | None = None) -> Precision:
    """Return what training computes in: what was asked for, or with ``auto`` what the device computes by itself.

    Args:
        wanted: of a recipe's ``precision``.
        device: where training runs; by default :func:`training_device`.
    """
    if wanted != "auto":
        return wanted
    return "bf16" if has_native_bf16(device or training_device()) else "fp32"


def training_device(gpu: int | None = None) -> torch.device:
    """Return the device that Lightning Fabric chooses by itself: a CUDA device, Apple's GPU, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", gpu or 0)
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def has_native_bf16(device: torch.device) -> bool:
    """Return whether a device computes bfloat16 itself (instead of converting to float32 and back)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= CUDA_WITH_BF16
    return device.type == "cpu" and _cpu_has_bf16() and _cpu_may_use_bf16()


@functools.cache
def _cpu_has_bf16() -> bool:
    return not CPU_FLAGS_WITH_BF16.isdisjoint(cpu_flags())


def _cpu_may_use_bf16() -> bool:
    """Return whether the variables that hold torch and oneDNN to older instructions leave them bfloat16."""
    if platform.machine() in ("x86_64", "AMD64") and torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX", "AVX2"):
        return False  # ATEN_CPU_CAPABILITY
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "ALL"))
    return limit.upper() in ONEDNN_WITH_BF16


def cpu_flags(info: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the instruction sets that the system names of this processor, in Linux's words; empty where it names none."""
    if info.is_file():
        lines = (line.partition(":") for line in info.read_text(encoding="utf-8", errors="replace").splitlines())
        return next((frozenset(value.split()) for name, _, value in lines if name.strip() in ("flags", "Features")), frozenset())
    if platform.system() == "Darwin":
        asked = subprocess.run(["sysctl", "-n", "hw.optional.arm.FEAT_BF16"], capture_output=True, text=True, check=False)
        return frozenset({"bf16"}) if asked.stdout.strip() == "1" else frozenset()
    return frozenset()


def bf16_slowdown(*, repeats: int = 3) -> float:
    """Return how many times longer a small convolutional step takes under bfloat16 autocast than in float32, measured on this CPU.

    Args:
        repeats: of each; the least of them counts, so that other work on the machine weighs little.
    """
    torch_state = torch.get_rng_state()
    network = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 2, 1))
    image = torch.rand(4, 1, 64, 64)
    torch.set_rng_state(torch_state)  # measuring is no part of a run: what it draws must not change what the run draws

    def seconds(enabled: bool) -> float:
        started = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = network(image).float().square().mean()
        loss.backward()
        return time.process_time() - started

    seconds(False), seconds(True)  # the first call of each prepares kernels
    least = [min(seconds(enabled) for _ in range(repeats)) for enabled in (True, False)]
    return least[0] / max(least[1], 1e-9)


def warn_of_slow_precision(wanted: Iterable[PrecisionRequest]) -> None:
    """Say once, with the factor, when bf16 was asked for by name where it is only emulated."""
    device = training_device()
    if "bf16" in set(wanted) and not has_native_bf16(device):
        factor = f", about {bf16_slowdown():.0f} times slower than fp32 here" if device.type == "cpu" else ""
        _LOG.warning("precision: bf16 was asked for and this %s only emulates it%s; precision: auto avoids that", device.type, factor)
