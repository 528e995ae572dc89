"""Metrics of trainings on their way to the tracking server while they train; training itself knows nothing of it.

A thread reads the journals that trainings write once an epoch, and sends what is new. What it cannot send it tries again, later and later;
what it has not sent in the end is sent at registration, or by the next run. How far each journal was sent is kept in a file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from data_contracts import MedkdError, Recipe
from medkd.registry.recipe_run import RecipeRun, TrackedTraining, tracked_trainings
from medkd.registry.server import shown
from medkd.storage.metrics_log import EPOCH, TIME, MetricsLog
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace

_LOG = logging.getLogger("medkd")
#: Seconds between two looks at the journals, and before each further try of what failed.
LOOK_S, BACK_OFF_S = 2.0, (5.0, 15.0, 60.0)
#: Seconds that the end of a run, or its error, waits for what is on its way.
DRAIN_S, ABANDON_S = 10.0, 3.0


class Tracker(Protocol):
    """What runs are shown in (``MlflowRuns``)."""

    def training(self, training: TrackedTraining) -> str:
        """Return the id of a training's run, made where there is none."""
        ...

    def log_history(self, run_id: str, history: Sequence[dict[str, float]]) -> None:
        """Log lines of a journal; those that are there already are not logged twice."""
        ...

    def abandon_recipe(self, run: RecipeRun, status: str) -> None:
        """End what of a recipe's run still runs."""
        ...


class MetricsShipper:
    """Sends what trainings of some recipes write into their journals from now on.

    Args:
        workspace: of the run.
        trainings: of its recipes.
        connect: opens the tracking server; called in the thread, when there is something to send.
        look_s: seconds between two looks.
    """

    def __init__(
        self, workspace: Workspace, trainings: Sequence[TrackedTraining], connect: Callable[[], Tracker], *, look_s: float = LOOK_S
    ) -> None:
        self._trainings, self._connect, self._look_s = trainings, connect, look_s
        self._server = shown(workspace.tracking_uri)
        self._cursor = Cursor(workspace)
        # A journal that an earlier training left in the same place ends before now: it is not that of a training of this run.
        self._since = time.time()
        self._tracker: Tracker | None = None
        self._run_ids: dict[str, str] = {}
        self._stop, self._given_up = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="medkd-ship-metrics", daemon=True)

    def start(self) -> None:
        """Begin to look at the journals."""
        self._thread.start()

    def finish(self) -> None:
        """Look once more, now, and then no more: nothing trains from here on. Nobody waits for what it sends; :meth:`drain` does."""
        self._stop.set()

    def drain(self, wait_s: float = DRAIN_S) -> bool:
        """Send what is left, for a bounded time, and return whether all of it was; what was not is sent at registration."""
        self.finish()
        self._thread.join(wait_s)
        self._given_up.set()
        return not self._thread.is_alive() and not any(True for _ in self._pending())

    def abandon(self, status: str) -> None:
        """Say of the recipes' runs, where any were begun, that they came to no end; for a bounded time too."""
        if self.drain(ABANDON_S) and self._tracker is not None:
            ending = threading.Thread(target=self._end_runs, args=(self._tracker, status), daemon=True)
            ending.start()
            ending.join(ABANDON_S)

    def _end_runs(self, tracker: Tracker, status: str) -> None:
        for run in {training.of.key: training.of for training in self._trainings}.values():
            try:
                tracker.abandon_recipe(run, status)
            except Exception as error:
                _LOG.debug("the run of %s could not be ended (%s)", run.recipe, error)

    def _work(self) -> None:
        wait_s, failures = self._look_s, 0
        while True:
            is_last = self._stop.wait(wait_s)
            try:
                self._send()
                wait_s, failures = self._look_s, 0
            except Exception as error:  # whatever a server, its database or its driver says: training goes on
                self._tracker = None
                if failures == 0:
                    _LOG.warning(
                        "metrics wait: %s", error if isinstance(error, MedkdError) else f"{self._server} failed: {type(error).__name__}"
                    )
                wait_s = BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
                failures += 1
            if is_last:
                return

    def _send(self) -> None:
        for training, lines in self._pending():
            if self._given_up.is_set():
                return
            self._tracker = self._tracker or self._connect()
            key = training.key()
            if key not in self._run_ids:
                self._run_ids[key] = self._tracker.training(training)
            self._tracker.log_history(self._run_ids[key], lines)
            self._cursor.move(key, int(lines[-1][EPOCH]))

    def _pending(self) -> Iterator[tuple[TrackedTraining, list[dict[str, float]]]]:
        """Yield trainings that go on in this run, each with the lines that were not sent."""
        for training in self._trainings:
            lines = MetricsLog(training.journal).read()
            if not lines or lines[-1].get(TIME, 0.0) < self._since:
                continue
            sent = self._cursor.epoch(training.key())
            new = [line for line in lines if line[EPOCH] > sent]
            if new:
                yield training, new


class Cursor:
    """How far journals were sent, in a file of the run for each server that they were sent to.

    Args:
        workspace: of the run.
    """

    def __init__(self, workspace: Workspace) -> None:
        server = hashlib.sha256(workspace.tracking_uri.encode()).hexdigest()[:12]
        self._path: Path = workspace.root / "tracking" / f"sent-{server}.json"

    def epoch(self, key: str) -> int:
        """Return the last epoch of a training that was sent; 0 where none was."""
        return self._read().get(key, 0)

    def move(self, key: str, epoch: int) -> None:
        """Note the last epoch that was sent."""
        write_bytes(self._path, json.dumps({**self._read(), key: epoch}, sort_keys=True).encode())

    def _read(self) -> dict[str, int]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(key): int(value) for key, value in found.items()} if isinstance(found, dict) else {}


@contextmanager
def shipping(workspace: Workspace, recipes: Sequence[Recipe]) -> Iterator[MetricsShipper]:
    """Send metrics while recipes are trained; an error ends their runs as failed, an interrupt as killed."""
    trainings = [
        training for recipe in recipes for training in tracked_trainings(workspace, recipe, teacher=recipe.teacher.registered is None)
    ]
    shipper = MetricsShipper(workspace, trainings, lambda: _runs_of(workspace))
    shipper.start()
    try:
        yield shipper
    except BaseException as error:
        shipper.abandon("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    shipper.drain()


def _runs_of(workspace: Workspace) -> Tracker:
    from medkd.registry.mlflow_registry import MlflowRegistry  # brings MLflow, which takes seconds

    return MlflowRegistry(workspace.tracking_uri, artifacts=workspace.root / "mlartifacts").runs
