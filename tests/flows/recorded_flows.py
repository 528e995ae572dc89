"""Flows and tasks with what ours may meet; see prefect_run.py."""

from __future__ import annotations

import time
from pathlib import Path

from data_contracts import GateFinding, GateVerdict, StoreError
from flows import orchestration
from flows.prefect_artifacts import show_gate

orchestration.RETRY_DELAYS_S = (0.1, 0.1)


def echo(path: str) -> str:
    return path


def fail(path: str) -> str:
    raise StoreError("STORE_MISSING", f"expected bytes at {path}, found none")


def drop_once(folder: str) -> str:
    """Stand for work whose server does not answer the first time."""
    mark = Path(folder, "asked")
    if mark.exists():
        return "answered"
    mark.touch()
    raise ConnectionError(f"no answer about {folder}")


def hold(seconds: float) -> tuple[float, float]:
    """Stand for a training: when it began and ended."""
    started = time.monotonic()
    time.sleep(seconds)
    return started, time.monotonic()


@orchestration.flow
def two_trainings() -> list[tuple[float, float]]:
    """Stand for two trainings at once."""
    return orchestration.submit_all(orchestration.task(hold, trains=True), [(1.0,), (1.0,)], title="hold")


@orchestration.flow
def part(path: str) -> list[str]:
    """Stand for a step of a flow."""
    return orchestration.submit_all(orchestration.task(echo, said=lambda _: "as it was"), [(path,)], title="echo", names=["r kd-0"])


@orchestration.flow
def whole(path: str, works: bool) -> list[str]:
    """Stand for a flow."""
    orchestration.expect({"echo": 3.0, "drop": 1.0})
    finding = GateFinding(requirement="min_auc", measured=0.9, bound=0.8, holds=True)
    show_gate("My Recipe 2", GateVerdict(subject="r/teacher", findings=(finding,), enforced=True))
    done = part(path)
    if not works:
        orchestration.submit_all(orchestration.task(fail), [(path,)], title="fail")
    return done + orchestration.submit_all(orchestration.task(drop_once), [(path,)], title="drop")
