"""What a run says while it lasts: one bar on a terminal, one line per finished piece of work elsewhere, every line in the run's own log."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from data_contracts.private import open_private

FILE = "run.log"
#: Work that took less is not worth a line of its own (``-v`` and the log have it).
WORTH_A_LINE_S = 1.0
#: Seconds between two looks at how far workers are.
LOOK_S = 0.5
_MEDKD = logging.getLogger("medkd")


class RunLog:
    """Follows the groups of calls that a run consists of.

    Args:
        folder: of the run; ``run.log`` is appended to.
        enabled: False says nothing (the log is still written).
        verbose: a line for every call, however short.
        machine_output: standard output is read by a machine: lines go to standard error.
    """

    def __init__(self, folder: Path, *, enabled: bool, verbose: bool = False, machine_output: bool = False) -> None:
        self._started = time.monotonic()
        self._verbose = verbose
        open_private(folder / FILE, "a").close()  # the handler goes on with the file that is there
        self._handler = logging.FileHandler(folder / FILE, encoding="utf-8", delay=True)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        _MEDKD.addHandler(self._handler)
        self._log = logging.getLogger("medkd.run")
        self._log.setLevel(logging.INFO)
        # Its lines are written here already: handed on to `medkd` they would stand in the file twice.
        self._log.propagate = False
        self._log.addHandler(self._handler)
        self._lines = _stream_of_lines(machine_output) if enabled else None
        self._bar = _WholeBar() if enabled and sys.stderr.isatty() else None
        self._lock = threading.Lock()

    @property
    def draws_whole(self) -> bool:
        """True when one bar is drawn over everything that is expected: parts then tell their share and draw nothing."""
        return self._bar is not None and self._bar.is_expecting

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Say which groups will come and about how long each takes on some machine: the bar is over all of them."""
        if self._bar is not None:
            self._bar.expect(seconds)

    def group(self, title: str, count: int, share: Callable[[], float] = lambda: 0.0) -> Group:
        """Begin a group of calls; ``share`` says how many calls the running ones amount to."""
        return Group(self, title, count, share)

    def say(self, text: str, *, minor: bool = False) -> None:
        """Write a line to the log and, where no bar is drawn, to whoever follows; a minor one only where everything is wanted."""
        with self._lock:
            self._log.info(text)
            if minor and not self._verbose:
                return
            if self._lines is not None:
                self._lines.write(f"{clock(time.monotonic() - self._started)}  {text}\n")
                self._lines.flush()
            elif self._bar is not None and self._verbose:
                self._bar.write(text)

    def close(self) -> None:
        """Take away the bar and close the log."""
        if self._bar is not None:
            self._bar.close()
        for logger in (_MEDKD, self._log):
            logger.removeHandler(self._handler)
        self._handler.close()


class Group:
    """Calls of one kind that were begun together."""

    def __init__(self, log: RunLog, title: str, count: int, share: Callable[[], float]) -> None:
        self._log, self._title, self._count, self._share = log, title, count, share
        self._done, self._started = 0, time.monotonic()
        self._over = threading.Event()
        self._watch: threading.Thread | None = None

    def __enter__(self) -> Group:
        if self._log._bar is not None:
            self._log._bar.begin(self._title)
            # Workers only write down how far they are: somebody has to look.
            self._watch = threading.Thread(target=self._follow, daemon=True)
            self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        if self._watch is not None:
            self._watch.join(timeout=1)
        seconds = time.monotonic() - self._started
        if kind is None:
            if self._log._bar is not None:
                self._log._bar.end(self._title)
            many = f": {self._count} done" if self._count > 1 else " done"
            self._log.say(f"{self._title}{many} in {seconds:.1f} s", minor=seconds < WORTH_A_LINE_S)

    def finished(self, name: str, seconds: float) -> None:
        """Note that one call is over."""
        self._done += 1
        if self._count > 1:
            self._log.say(f"  {self._title} {self._done}/{self._count}  {name}  {seconds:.1f} s", minor=seconds < WORTH_A_LINE_S)

    def _follow(self) -> None:
        while not self._over.wait(LOOK_S):
            bar = self._log._bar
            if bar is not None:
                done = min(float(self._count), self._done + self._share())
                bar.show(self._title, done / max(1, self._count), f"{self._title} {min(self._done + 1, self._count)}/{self._count}")


class _WholeBar:
    """One bar over everything that is expected; groups that nobody expected are shown by name and count."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] = tqdm(
            total=1.0, leave=False, dynamic_ncols=True, bar_format="{desc}|{bar}| {percentage:3.0f} %  {elapsed}{postfix}"
        )
        self._expected: dict[str, float] = {}
        self._finished = 0.0
        self._started = time.monotonic()
        self._bar.set_description_str("starting ")

    def expect(self, seconds: Mapping[str, float]) -> None:
        self._expected = {**self._expected, **seconds}
        self._bar.total = max(1e-9, sum(self._expected.values()))

    @property
    def is_expecting(self) -> bool:
        return bool(self._expected)

    def begin(self, title: str) -> None:
        self.show(title, 0.0, title)

    def show(self, title: str, share: float, text: str) -> None:
        done = self._finished + share * self._expected.get(title, 0.0)
        left = time_left(time.monotonic() - self._started, done / (self._bar.total or 1.0))
        self._bar.set_description_str(f"{text} ", refresh=False)
        self._bar.set_postfix_str(f"{left} left" if left else "", refresh=False)
        self._bar.n = done
        self._bar.refresh()

    def end(self, title: str) -> None:
        self._finished += self._expected.pop(title, 0.0) if title in self._expected else 0.0
        self._bar.n = self._finished
        self._bar.refresh()

    def write(self, text: str) -> None:
        self._bar.write(text, file=sys.stderr)

    def close(self) -> None:
        self._bar.close()


def time_left(seconds: float, share: float) -> str:
    """Return the time left after ``seconds`` in which ``share`` (0 to 1) of the whole was done; empty where that says too little."""
    if share < 0.02 or share > 1:
        return ""
    return clock(seconds * (1 - share) / share)


def clock(seconds: float) -> str:
    """Return a duration as ``m:ss`` or ``h:mm:ss``."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def stamp() -> str:
    """Return the present time of this machine as logs write it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _stream_of_lines(machine_output: bool) -> TextIO | None:
    """Return where lines go: standard output that goes to a file, else standard error that does, else nowhere (a bar is drawn)."""
    if not machine_output and not sys.stdout.isatty():
        return sys.stdout
    return None if sys.stderr.isatty() else sys.stderr
