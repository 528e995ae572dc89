"""Energy from seconds: busy cores and GPUs times watts that are said, or a GPU's own counter where it has one."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from data_contracts import MissingDependencyError

#: Watts of a busy core and of a GPU where nobody says better, of the order of thermal design power: a server processor's by its number of
#: cores, an accelerator's by itself. Whoever knows the machine sets the variables.
WATTS_PER_CORE, WATTS_PER_GPU = 10.0, 300.0
CORE_VARIABLE, GPU_VARIABLE = "MEDKD_WATTS_PER_CORE", "MEDKD_WATTS_PER_GPU"
_MOST_WATTS = 10_000.0


@dataclass(frozen=True)
class Watts:
    """Power that is assumed of a busy core and of a GPU that is held, W."""

    core: float
    gpu: float


def assumed_watts() -> Watts:
    """Return the power that is assumed (``MEDKD_WATTS_PER_CORE``, ``MEDKD_WATTS_PER_GPU``).

    Raises:
        MissingDependencyError: ``WATTS_INVALID`` for a variable that is no number of watts from 0 to 10,000.
    """
    return Watts(_from(CORE_VARIABLE, WATTS_PER_CORE), _from(GPU_VARIABLE, WATTS_PER_GPU))


def _from(variable: str, default: float) -> float:
    given = os.environ.get(variable)
    if given is None:
        return default
    try:
        watts = float(given)
    except ValueError:
        watts = math.nan
    if not 0 <= watts <= _MOST_WATTS:
        raise MissingDependencyError("WATTS_INVALID", f"expected watts from 0 to {_MOST_WATTS:,.0f} in {variable}, got {given[:40]!r}")
    return watts


def energy(watts: Watts, *, cpu_seconds: float, gpu_seconds: float, gpu_joules: float | None) -> tuple[float, str]:
    """Return the energy in Wh, and what it rests on in words.

    Args:
        watts: assumed.
        cpu_seconds: seconds of busy cores.
        gpu_seconds: seconds that GPUs were held for.
        gpu_joules: what the GPUs counted meanwhile; None where they do not count.
    """
    found, words = watts.core * cpu_seconds, f"assuming {watts.core:g} W per busy core"
    if gpu_joules is not None:
        return (found + gpu_joules) / 3600, f"{words}, the GPU's own counter beside it"
    if gpu_seconds:
        found, words = found + watts.gpu * gpu_seconds, f"{words} and {watts.gpu:g} W per GPU that is held"
    return found / 3600, words
