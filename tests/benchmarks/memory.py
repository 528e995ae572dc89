"""Peak memory of a training step, per network of the catalogue, patch and batch: ``python -m tests.benchmarks.memory --json``.

Each row is the largest resident memory of the process during two whole steps (forward, backward, AdamW; the second holds the moments too), less
what the process held before the network was built: weights, gradients, moments and what is kept for the way back. Networks have their default
options, one channel in and two classes out, float32 on the CPU; the system's high-water mark is read. Rows whose network would take more than
``--most`` GiB by counting (``medkd/training/memory.py``) are left out. Without ``--json`` the table of ``docs/memory.md`` comes first.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import sys
from pathlib import Path

import torch

from data_contracts import NetworkSpec
from medkd.catalogue import NETWORKS
from medkd.memory_need import PeakMemory, peak_bytes
from medkd.models._build import build_network, parameter_count
from medkd.planning.processor import processor_name
from medkd.training.memory import _step_bytes

#: Extent of a patch along each axis, and batch: what ends within minutes on two cores.
COLUMNS = {2: ((64, 1), (64, 32), (128, 1), (128, 32)), 3: ((32, 1),)}


def measured(name: str, dims: int, extent: int, batch: int, most: int) -> dict[str, object] | None:
    """Return a row, None where it would take too much."""
    options = {"image_size": (extent,)} if "image_size" in NETWORKS.entry(name).options() else {}
    spec, shape = NetworkSpec(builder=name, spatial_dims=dims, options=options), (batch, 1, *(extent,) * dims)
    with torch.device("meta"):
        counted = _step_bytes(build_network(spec), shape, half=False)
    if counted > most:
        return None
    before, peak = resident_bytes(), PeakMemory()
    network = build_network(spec).train()
    optimizer = torch.optim.AdamW(network.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        network(torch.randn(shape)).square().mean().backward()
        optimizer.step()
    above = peak.read() - before
    return {
        "network": name,
        "dims": dims,
        "extent": extent,
        "batch": batch,
        "mib": round(above / 2**20),
        "parameters": parameter_count(network),
    }


def resident_bytes() -> int:
    """Return the memory that the process holds now, once what it does not need was given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def warm() -> int:
    """Import everything and prepare kernels; return what a process holds then."""
    for name in NETWORKS.names():
        if "image_size" not in NETWORKS.entry(name).options():
            for dims in COLUMNS:  # what the first volume brings into memory is no part of any network
                build_network(NetworkSpec(builder=name, spatial_dims=dims))(torch.zeros(2, 1, *(32,) * dims)).sum().backward()
    return resident_bytes()


def table(rows: list[dict[str, object]], dims: int) -> str:
    """Return the rows of pictures or volumes as Markdown, MiB."""
    columns = COLUMNS[dims]
    found = {(row["network"], row["extent"], row["batch"]): row for row in rows if row["dims"] == dims}
    sign = "²" if dims == 2 else "³"
    heads = " | ".join(f"{extent}{sign} × {batch}" for extent, batch in columns)
    lines = [f"| network | parameters | {heads} |", "|---" * (2 + len(columns)) + "|"]
    for name in NETWORKS.names():
        own = [found.get((name, *column)) for column in columns]
        parameters = next((f"{row['parameters']:,}" for row in own if row), "")
        lines.append(f"| `{name}` | {parameters} | " + " | ".join(f"{row['mib']:,}" if row else "–" for row in own) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--most", type=float, default=6.0, help="largest GiB of a row")
    parser.add_argument("--dims", type=int, nargs="+", choices=(2, 3), default=(2, 3), help="pictures, volumes")
    given = parser.parse_args()
    base, rows = warm(), []
    for dims in given.dims:
        for extent, batch in COLUMNS[dims]:
            for name in NETWORKS.names():
                row = measured(name, dims, extent, batch, int(given.most * 2**30))
                if row is not None:
                    rows.append(row)
                    sys.stderr.write(f"{row}\n")
    if not given.json:
        sys.stdout.write("".join(f"{table(rows, dims)}\n\n" for dims in given.dims))
    answer = {
        "processor": processor_name(),
        "precision": "fp32",
        "threads": torch.get_num_threads(),
        "base_mib": round(base / 2**20),
        "rows": rows,
    }
    sys.stdout.write(json.dumps({**answer, "peak_mib": round((peak_bytes() or 0) / 2**20)}) + "\n")


if __name__ == "__main__":
    main()
