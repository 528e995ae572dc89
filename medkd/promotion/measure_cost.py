"""What an answer of a serving form costs, measured in a process of its own: ``python -m medkd.promotion.measure_cost`` NETWORK < TASK."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_contracts import RegistryError, Task
from medkd.memory_need import peak_bytes
from medkd.serving.network import OnnxNetwork

#: Answers before the clock is read, and those that are timed.
_WARM, _TIMED = 2, 10
_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class AnswerCost:
    """What a serving form costs on this machine.

    Attributes:
        latency_ms: median time of one forward pass of one image or window, one thread, ms.
        peak_mib: peak resident memory of a process that loads the form and answers, MiB.
        size_mib: size of the network's file, MiB.
    """

    latency_ms: float
    peak_mib: float
    size_mib: float


def measure_cost(network: Path, task: Task) -> AnswerCost:
    """Measure a serving form in a new process: memory of this one, which may hold anything, does not count.

    Raises:
        RegistryError: ``COST_NOT_MEASURED`` when the form cannot be loaded or asked.
    """
    command = [sys.executable, "-m", "medkd.promotion.measure_cost", str(network)]
    try:
        done = subprocess.run(command, input=task.canonical_json().decode(), capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, OSError, ValueError, IndexError) as error:
        why = " ".join(str(getattr(error, "stderr", None) or error).split())[-160:]
        raise RegistryError("COST_NOT_MEASURED", f"expected the serving form to answer, it does not: {why}") from error
    return AnswerCost(found["latency_ms"], found["peak_bytes"] / 2**20, network.stat().st_size / 2**20)


def _measured(network: Path, task: Task) -> dict[str, float]:
    form = OnnxNetwork(network, task, threads=1)
    image = np.random.default_rng(0).normal(size=(1, 1, *task.image_size)).astype(np.float32)
    times = []
    for turn in range(_WARM + _TIMED):
        started = time.perf_counter()
        form.ask(image)
        if turn >= _WARM:
            times.append(1000 * (time.perf_counter() - started))
    return {"latency_ms": statistics.median(times), "peak_bytes": peak_bytes() or 0}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measured(Path(sys.argv[1]), Task.model_validate_json(sys.stdin.read()))) + "\n")
