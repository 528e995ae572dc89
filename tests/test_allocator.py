"""Memory that was freed is kept: the same numbers from fewer page faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from data_contracts import NetworkSpec
from medkd import allocator
from medkd.models import _build

#: Passes through layers like those of a U-Net, before and after: page faults, and the answer.
PROGRAM = """
import json, resource
import torch
from medkd.allocator import keep_freed_memory

torch.manual_seed(0)
layers = torch.nn.Sequential(*(torch.nn.Conv3d(8, 8, 3, padding=1) for _ in range(4)))
image = torch.randn(2, 8, 48, 48, 48)

def passes():
    with torch.no_grad():
        for _ in range(3):
            layers(image)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            answer = layers(image)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, answer.double().sum().item().hex()

print(json.dumps([passes(), keep_freed_memory(), passes()]))
"""


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(allocator._c_library(), "mallopt"), reason="needs glibc")
def test_passes_of_a_volume_take_their_memory_from_what_was_freed_and_answer_the_same():
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=plain, capture_output=True, text=True, check=True)
    (left, answer), kept, (faults, same) = json.loads(done.stdout.splitlines()[-1])
    assert kept is True
    assert left > 10_000  # ten passes, four maps of 7 MB each, 4 KiB a page
    assert faults < left / 4
    assert same == answer


def test_whoever_builds_a_network_asks_for_it(monkeypatch):
    asked = []
    monkeypatch.setattr(_build, "keep_freed_memory", lambda: asked.append("asked"))
    _build.build_network(NetworkSpec(builder="resnet", options={"channels": (4, 4, 4, 4)}))
    assert asked == ["asked"]


def test_what_the_environment_says_goes_first(monkeypatch):
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
