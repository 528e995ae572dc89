"""The loop in processes of its own: killed at any moment it ends where it would have; shared by two it learns what one learns."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from data_contracts import MedkdError, MissingDependencyError, TrainingConfig
from medkd.storage.metrics_log import TIME, MetricsLog
from medkd.training import processes
from medkd.training.processes import in_processes, require_processes
from medkd.training.train import train_teacher

SCRIPT = Path(__file__).with_name("one_run.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def run(folder, *more, processes=1):
    start = (
        [sys.executable]
        if processes == 1
        else [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    )
    done = subprocess.run([*start, str(SCRIPT), str(folder), *more], capture_output=True, text=True, timeout=240, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def kill(folder, moment):
    """Start a slow run and kill it ``moment`` seconds after its first state was written; return whether it was still at work."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), "--slow", "0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT
    )
    before = stamp(folder)
    deadline = time.monotonic() + 60
    while stamp(folder) == before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(moment)
    alive = process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return alive


def stamp(folder):
    state = Path(folder) / "state.safetensors"
    return state.stat().st_mtime_ns if state.is_file() else 0


@pytest.mark.extended  # the same with an exception instead of a signal: test_loop.py
def test_a_run_that_is_killed_within_an_epoch_ends_with_the_same_bits(tmp_path):
    whole = run(tmp_path / "whole")
    assert kill(tmp_path / "killed", 0.25)
    assert run(tmp_path / "killed") == whole


@pytest.mark.extended
def test_five_kills_at_random_moments_change_no_bit(tmp_path):
    whole = run(tmp_path / "whole")
    moments = random.Random(11)
    kills = [kill(tmp_path / "killed", moments.uniform(0.0, 0.3)) for _ in range(5)]
    assert run(tmp_path / "killed") == whole
    sys.stdout.write(f"{sum(kills)} of 5 kills within an epoch\n")
    assert sum(kills) >= 4


@pytest.mark.extended
@pytest.mark.parametrize("terms", ["own", "coupled"])
def test_two_processes_learn_what_one_does(tmp_path, terms):
    """Cases without labels and with weights are spread unevenly: denominators are those of the whole batch, coupled terms see all of it."""
    alone, shared = run(tmp_path / "one", "--terms", terms), run(tmp_path / "two", "--terms", terms, processes=2)
    assert len(alone["epochs"]) == len(shared["epochs"]) == 3
    for one, two in zip(alone["epochs"], shared["epochs"], strict=True):
        assert set(one) == set(two)
        assert two == pytest.approx(one, abs=1e-5, rel=1e-4)


def shared(recipe, name, **more):
    """Return the teacher's training by two processes, under a name that begins at the same weights."""
    fit = recipe.teacher.fit.model_copy(update={"processes": 2, **more})
    teacher = recipe.teacher.model_copy(update={"fit": fit})
    return recipe.model_copy(update={"name": f"{recipe.name}--{name}", "teacher": teacher}).teacher_training()


def test_a_batch_that_cannot_be_shared_is_refused_and_one_process_is_not_written_down():
    with pytest.raises(ValueError, match="a batch_size that 3 processes can share evenly, got 32"):
        TrainingConfig(epochs=1, processes=3)
    assert "processes" not in TrainingConfig(epochs=1).model_dump()
    assert TrainingConfig.model_validate(TrainingConfig(epochs=1, processes=2).model_dump()).processes == 2
    assert TrainingConfig(epochs=1).digest() != TrainingConfig(epochs=1, processes=2).digest()


@pytest.mark.parametrize(("gpus", "refused"), [(0, False), (1, True), (2, False)])
def test_more_processes_than_gpus_are_refused(recipe, monkeypatch, gpus, refused):
    monkeypatch.setattr(processes, "visible_gpus", lambda: gpus)
    student = recipe.student.model_copy(update={"fit": recipe.student.fit.model_copy(update={"processes": 2})})
    require_processes(recipe)
    if refused:
        with pytest.raises(MissingDependencyError, match="there are 1; set") as caught:
            require_processes(recipe.model_copy(update={"student": student}))
        assert caught.value.code == "GPU_TOO_FEW"
    else:
        require_processes(recipe.model_copy(update={"student": student}))


def test_processes_see_the_gpus_that_are_held_for_them(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert processes._environment((1, 3))["CUDA_VISIBLE_DEVICES"] == "1,3"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    assert processes._environment((0, 2))["CUDA_VISIBLE_DEVICES"] == "4,6"
    assert processes._environment(())["CUDA_VISIBLE_DEVICES"] == "4,5,6"


def test_one_process_trains_where_it_is(workspace, recipe):
    called = []
    train = in_processes(lambda workspace, spec: called.append((workspace, spec)))
    train(workspace, spec=recipe.teacher_training())
    assert called == [(workspace, recipe.teacher_training())]


def test_processes_that_never_end_well_are_begun_three_times(workspace, recipe, cohorts, monkeypatch, caplog):
    caplog.set_level(logging.WARNING, "medkd")
    monkeypatch.setattr(processes, "_torchrun", lambda *_: 1)
    with pytest.raises(MissingDependencyError, match="they ended before it 3 times") as caught:
        train_teacher(workspace, shared(recipe, "hopeless"), cohorts)
    assert caught.value.code == "PROCESSES_LOST"
    assert [line for line in caplog.messages if "was lost" in line][-1].endswith("(start 3 of 3); the training goes on from its state")


def ranks(of):
    """Return the processes of a training, by rank."""
    found = {}
    for child in psutil.Process(of).children(recursive=True):
        try:
            if "medkd.training.ranks" in child.cmdline() and "RANK" in (environment := child.environ()):
                found[int(environment["RANK"])] = child
        except psutil.Error:
            continue
    return found


def epochs(workspace, spec):
    path = workspace.root / "training" / spec.recipe / f"teacher-{spec.seed}" / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.is_file() else 0


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("expected it within the time")


@pytest.mark.extended
def test_a_lost_process_costs_less_than_an_epoch_and_changes_no_bit(workspace, recipe, cohorts, caplog):
    caplog.set_level(logging.WARNING, "medkd")
    many = {"epochs": 60, "patience": None}
    whole = train_teacher(workspace, shared(recipe, "whole", **many), cohorts)
    spec, ended = shared(recipe, "killed", **many), []
    thread = threading.Thread(target=lambda: ended.append(train_teacher(workspace, spec, cohorts)))
    thread.start()
    wait_for(lambda: epochs(workspace, spec) >= 3)
    ranks(os.getpid())[1].send_signal(signal.SIGKILL)
    killed = time.time()
    thread.join(200)
    assert [line for line in caplog.messages if "was lost (start 1 of 3)" in line]
    assert ended[0].weights_digest == whole.weights_digest
    assert epochs(workspace, spec) == 60
    lines = MetricsLog(workspace.root / "training" / spec.recipe / f"teacher-{spec.seed}" / "metrics.jsonl").read()
    assert 2 <= sum(line[TIME] < killed for line in lines) < 60  # what was learnt before was not learnt again
    assert ended[0].cost.cpu_seconds > 0


@pytest.mark.extended
def test_an_error_of_ours_ends_all_processes_and_is_raised_as_it_is(workspace, recipe, cohorts, caplog):
    with pytest.raises(MedkdError, match="expected a finite") as caught:
        train_teacher(workspace, shared(recipe, "wild", learning_rate=1e30, epochs=20, clip_norm=None), cohorts)
    assert caught.value.code in ("LOSS_NOT_FINITE", "MAP_NOT_FINITE")
    assert not [line for line in caplog.messages if "was lost" in line]


STARTER = """
import sys
from pathlib import Path
from medkd.storage.metrics_log import TIME, MetricsLog
from medkd.training import processes
processes._torchrun(Path(sys.argv[1]), 2, (), None)
"""


@pytest.mark.extended
def test_processes_end_when_their_starter_is_killed(workspace, recipe, cohorts, tmp_path):
    spec = shared(recipe, "left", epochs=5000)
    folder = workspace.root / "training" / spec.recipe / f"teacher-{spec.seed}"
    patch = pytest.MonkeyPatch()
    patch.setattr(processes, "_torchrun", lambda *_: 1)  # only the request is wanted
    with pytest.raises(MissingDependencyError):
        train_teacher(workspace, spec, cohorts)
    patch.undo()
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(folder)], env={**ENVIRONMENT, "PYTHONPATH": str(Path(__file__).parents[2])}
    )
    wait_for(lambda: epochs(workspace, spec) >= 1)
    started = list(ranks(starter.pid).values())
    assert len(started) == 2
    starter.kill()
    starter.wait()
    wait_for(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in started), 5)
