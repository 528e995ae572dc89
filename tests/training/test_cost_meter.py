"""Seconds, memory and bytes of a piece of work, and a training that is interrupted adds up."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import safetensors
import torch

from data_contracts import LossTerm, NetworkSpec, Task, TrainingConfig, TrainingCost
from medkd.models._build import build_network
from medkd.training.checkpoint import LoopState
from medkd.training.cost_meter import CostMeter, bytes_moved
from medkd.training.fit import FitRequest, fit
from medkd.training.objective import Objective
from tests.training.one_run import Cases

CPU = torch.device("cpu")
needs_proc = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not say")


def test_busy_seconds_are_counted_and_sleep_is_not():
    meter = CostMeter(CPU)
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    time.sleep(0.3)
    cost = meter.so_far()
    assert 0.2 <= cost.cpu_seconds < 0.45
    assert cost.wall_seconds >= 0.5
    assert cost.energy_wh == pytest.approx(cost.cpu_seconds * 10 / 3600)
    assert cost.energy_assumption == "assuming 10 W per busy core"
    assert (cost.gpu_seconds, cost.peak_gpu_memory_bytes, cost.parts) == (0, None, 1)


@needs_proc
def test_bytes_that_are_written_and_read_are_counted(tmp_path):
    meter = CostMeter(CPU)
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    assert len((tmp_path / "file").read_bytes()) == 3_000_000
    cost = meter.so_far()
    assert 3_000_000 <= cost.written_bytes < 3_100_000
    assert 3_000_000 <= cost.read_bytes < 3_200_000


def test_where_the_system_does_not_say_there_are_none(tmp_path):
    assert bytes_moved(tmp_path / "io") == (None, None)
    (tmp_path / "io").write_text("rchar: many\n")
    assert bytes_moved(tmp_path / "io") == (None, None)


def test_processes_that_share_a_training_each_cost_as_much():
    meter, used = CostMeter(CPU, processes=3), time.process_time()
    sum(range(2_000_000))
    own = time.process_time() - used
    # Wall time is no measure: another process may have the core.
    assert meter.so_far().cpu_seconds == pytest.approx(3 * own, rel=0.2)


def request(folder, meter, epochs, **more):
    config = TrainingConfig(epochs=epochs, batch_size=16, precision="fp32")
    task = Task(kind="classification", classes=("a", "b", "c"), image_size=(16, 16))
    return FitRequest(config, task, 3, folder, "k", cost=meter, **more)


def train(folder, **more):
    meter = CostMeter(CPU)
    network = build_network(NetworkSpec(builder="resnet", out_channels=3, options={"channels": (4, 4, 6, 8)}), seed=0)
    fit(network, Objective((LossTerm(loss="cross_entropy"),)), Cases(), request(folder, meter, 2, **more))
    return meter.so_far()


def test_a_training_that_was_interrupted_costs_all_its_parts(tmp_path):
    class Stopped(Exception):
        pass

    def stop(epoch, _network):
        if epoch == 2:
            time.sleep(0.1)
            raise Stopped

    with pytest.raises(Stopped):
        train(tmp_path, after_epoch=stop)
    first = kept_cost(tmp_path)
    resumed, second = train(tmp_path), kept_cost(tmp_path)
    again, whole = train(tmp_path), train(tmp_path / "other")
    assert (first.parts, second.parts, resumed.parts, again.parts, whole.parts) == (1, 2, 2, 3, 1)
    assert 0 < first.cpu_seconds < second.cpu_seconds <= resumed.cpu_seconds
    # Who takes up the state of a finished training learns what it cost.
    assert again.cpu_seconds > second.cpu_seconds
    assert again.energy_wh > second.energy_wh > first.energy_wh
    assert LoopState().cost == {}


def kept_cost(folder):
    with safetensors.safe_open(folder / "state.safetensors", framework="pt") as file:
        return TrainingCost.model_validate(json.loads(file.metadata()["place"])["cost"])
