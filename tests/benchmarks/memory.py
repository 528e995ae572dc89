"""Peak memory of a training step, per network of the catalogue, patch and batch: ``python -m tests.benchmarks.memory --json``.

Each row is the largest resident memory of a process of its own during two whole steps (forward, backward, AdamW; the second holds the moments too),
less what that process held after a step of the same network on a patch of 32, whose weights were let go: weights, gradients, moments
and what is kept for the way back, without libraries. Networks have their default options, one channel in and two classes out, float32 on the CPU; the
system's high-water mark is read. Rows whose network would take more than ``--most`` GiB by counting (``medkd/training/memory.py``) are left out.
``--write`` writes ``docs/memory.md``; without ``--json`` the tables come first.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import torch

from data_contracts import NetworkSpec
from medkd.catalogue import NETWORKS
from medkd.memory_need import PeakMemory
from medkd.models._build import build_network, parameter_count
from medkd.planning.processor import processor_name
from medkd.training.memory import _step_bytes

ROOT = Path(__file__).parents[2]
#: Extent of a patch along each axis, and batch: what ends within minutes on two cores.
COLUMNS = {2: ((64, 1), (64, 32), (128, 1), (128, 32)), 3: ((32, 1), (32, 2), (64, 1))}
#: Extent of the patch that libraries are made ready with.
READY = 32
DOCUMENT = """# What a training step takes of the memory

Largest resident memory in MiB of two whole steps (forward, backward, AdamW), each row in a process of its own, above what that process held before
with its libraries ready: weights, gradients, moments and what is kept for the way back. Networks with their default options, one channel in, two
classes out; *patch × batch*; {precision}, {threads} thread, on an {processor}. Written by
`python -m tests.benchmarks.memory --write`.

Pictures:

{pictures}

Volumes:

{volumes}

- – : left out, for it would take more than {most:g} GiB. Not measured: larger pictures and patches, bfloat16, GPUs. `medkd plan RECIPE` measures a
  recipe's own networks, patch and batch on the machine that asks.
- The process itself with its libraries ({base:,} MiB here) and the cases that are trained on come on top; so does a live teacher. With
  `fit.processes: N` each of N processes holds all of it but its share of the batch.
"""


def spec_of(name: str, dims: int, extent: int) -> NetworkSpec:
    """Return a network of the catalogue for a patch."""
    options = {"image_size": (extent,)} if "image_size" in NETWORKS.entry(name).options() else {}
    return NetworkSpec(builder=name, spatial_dims=dims, options=options)


def counted(name: str, dims: int, extent: int, batch: int) -> int:
    """Return the bytes that a row takes at least, without computing it."""
    with torch.device("meta"):
        return _step_bytes(build_network(spec_of(name, dims, extent)), (batch, 1, *(extent,) * dims), half=False)


def measured(name: str, dims: int, extent: int, batch: int) -> dict[str, Any]:
    """Return a row, in this process."""
    torch.set_num_threads(1)
    steps(spec_of(name, dims, READY), (1, 1, *(READY,) * dims))
    base, peak = resident_bytes(), PeakMemory()
    parameters = steps(spec_of(name, dims, extent), (batch, 1, *(extent,) * dims))
    above = peak.read() - base
    row = {"network": name, "dims": dims, "extent": extent, "batch": batch, "mib": round(above / 2**20), "parameters": parameters}
    return {**row, "base_mib": round(base / 2**20)}


def steps(spec: NetworkSpec, shape: tuple[int, ...]) -> int:
    """Make two steps of a new network; return its number of parameters."""
    network = build_network(spec).train()
    optimizer = torch.optim.AdamW(network.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        network(torch.randn(shape)).square().mean().backward()
        optimizer.step()
    return parameter_count(network)


def resident_bytes() -> int:
    """Return the memory that the process holds now, once what it does not need was given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def in_process_of_its_own(name: str, dims: int, extent: int, batch: int) -> dict[str, Any]:
    """Return a row, measured in a new process: a copy of this one, which imports everything and computes nothing."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(measured, (name, dims, extent, batch))


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
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="only the last line")
    parser.add_argument("--write", action="store_true", help="write docs/memory.md")
    parser.add_argument("--most", type=float, default=4.0, help="largest GiB of a row")
    given = parser.parse_args()
    rows = []
    for dims, columns in COLUMNS.items():
        for extent, batch in columns:
            for name in NETWORKS.names():
                if counted(name, dims, extent, batch) <= given.most * 2**30:
                    rows.append(in_process_of_its_own(name, dims, extent, batch))
                    sys.stderr.write(f"{rows[-1]}\n")
    tables, base = {dims: table(rows, dims) for dims in COLUMNS}, max(row["base_mib"] for row in rows)
    facts = {"processor": processor_name(), "precision": "float32", "threads": 1}
    if given.write:
        text = DOCUMENT.format(pictures=tables[2], volumes=tables[3], most=given.most, base=base, **facts)
        (ROOT / "docs" / "memory.md").write_text(text, encoding="utf-8")
    if not given.json:
        sys.stdout.write("".join(f"{one}\n\n" for one in tables.values()))
    figures = {f"{row['network']}_{row['extent']}p{row['dims']}x{row['batch']}_mib": row["mib"] for row in rows}
    sys.stdout.write(json.dumps({"figures": {**figures, "base_mib": base}, "peers": {}, "n": 1, **facts}) + "\n")


if __name__ == "__main__":
    main()
