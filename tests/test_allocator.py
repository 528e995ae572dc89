"""Memory that was freed is kept: the same numbers from fewer page faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from medkd import allocator

PROGRAM = """
import json, resource, sys
import torch
from data_contracts import NetworkSpec
from medkd.models._build import build_network
from medkd.trace import frozen

network = build_network(NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (8, 16)}), seed=1).eval()
image = torch.randn(1, 1, 48, 48, 48, generator=torch.Generator().manual_seed(0))
with frozen(network), torch.no_grad():
    for _ in range(3):
        network(image)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        answer = network(image)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(json.dumps({"faults": faults, "answer": answer.double().sum().item().hex()}))
"""


def passes(**environment: str) -> dict[str, object]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=plain | environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(allocator._c_library(), "mallopt"), reason="needs glibc")
def test_passes_of_a_volume_take_their_memory_from_what_was_freed_and_answer_the_same():
    # A variable that changes nothing by itself: whoever sets one decides alone.
    left, kept = passes(MALLOC_CHECK_="0"), passes()
    assert left["faults"] > 10_000  # ten passes, five maps of 3.5 MB each, 4 KiB a page
    assert kept["faults"] < left["faults"] / 4
    assert kept["answer"] == left["answer"]


def test_a_wish_of_the_environment_goes_first(monkeypatch):
    asked = []
    monkeypatch.setattr(allocator, "_c_library", lambda: SimpleNamespace(mallopt=lambda *setting: asked.append(setting) or 1))
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000")
    assert allocator.keep_freed_memory.__wrapped__() is False
    assert asked == []
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_")
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/libjemalloc.so.2")
    assert allocator.keep_freed_memory.__wrapped__() is False
    monkeypatch.delenv("LD_PRELOAD")
    assert allocator.keep_freed_memory.__wrapped__() is True
    assert asked == [(-3, 1 << 30), (-1, 2**31 - 1)]


@pytest.mark.parametrize("library", [None, SimpleNamespace()])
def test_a_system_without_it_is_left_alone(library, monkeypatch):
    monkeypatch.setattr(allocator, "_c_library", lambda: library)
    assert allocator.keep_freed_memory.__wrapped__() is False
