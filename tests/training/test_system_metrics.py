"""What the machine was at, under MLflow's names; without psutil nothing is invented."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from medkd.training import system_metrics as module
from medkd.training.system_metrics import system_metrics

CPU = torch.device("cpu")


def test_load_and_memory_are_those_that_psutil_says(monkeypatch):
    memory = SimpleNamespace(rss=250_000_000)
    reported = SimpleNamespace(
        virtual_memory=lambda: SimpleNamespace(percent=40.0),
        cpu_percent=lambda: 12.5,
        Process=lambda: SimpleNamespace(memory_info=lambda: memory),
    )
    monkeypatch.setattr(module, "_psutil", reported)
    assert system_metrics(CPU) == {
        "system/cpu_utilization_percentage": 12.5,
        "system/system_memory_usage_percentage": 40.0,
        "system/process_memory_usage_megabytes": 250.0,
    }


def test_without_psutil_only_the_gpu_is_known(monkeypatch):
    monkeypatch.setattr(module, "_psutil", None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _device: 3_000_000)
    assert system_metrics(CPU) == {}
    assert system_metrics(torch.device("cuda")) == {"system/gpu_0_memory_usage_megabytes": 3.0}
