"""Ctrl-C: one sentence within three seconds, exit status 130, nothing lost, whoever drives.

The first interrupt ends worker processes at once (what waits for them would wait for minutes) and is then raised as usual, so that what is
open is closed. Whatever is not done a little later, and a second interrupt at once, ends this process: every file is written whole or not at
all, so that the same command goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

INTERRUPTED = 130
SENTENCE = "stopped; start the same command to go on\n"
#: Seconds after an interrupt at which this process ends, whatever it waits for.
PATIENCE_S = 2.0
_at_once: list[Callable[[], None]] = []
_said = threading.Event()
_was_interrupted = threading.Event()


@contextlib.contextmanager
def ended_on_interrupt(end: Callable[[], None]) -> Iterator[None]:
    """Call ``end`` at once when this process is interrupted, before anybody waits for anything."""
    _at_once.append(end)
    try:
        yield
    finally:
        _at_once.remove(end)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let Ctrl-C stop what runs inside, with :data:`SENTENCE` and exit status 130. Has no effect outside of the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _interrupt)
    _said.clear()
    _was_interrupted.clear()
    try:
        yield
    except BaseException:
        # Libraries in between turn the interrupt into errors of their own (click into an exit status): what began it is what counts.
        if not _was_interrupted.is_set():
            raise
        _say()
        # An interrupt that falls into an `exec` of text (dataclasses are made by one while modules are imported) leaves a mark in the
        # interpreter, by which it ends itself with the signal instead of the status; the next `exec` clears it (Python/pythonrun.c).
        exec("")
        raise SystemExit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    _was_interrupted.set()
    signal.signal(signal.SIGINT, _end_now)
    watch = threading.Timer(PATIENCE_S, _end_now)
    watch.daemon = True
    watch.start()
    _end_others()
    raise KeyboardInterrupt


def _end_now(*_: object) -> None:
    _end_others()
    _say()
    os._exit(INTERRUPTED)


def _end_others() -> None:
    for end in reversed(_at_once):
        with contextlib.suppress(OSError):
            end()


def _say() -> None:
    if not _said.is_set():
        _said.set()
        sys.stdout.flush()
        # A bar may stand in the line: it is overwritten.
        sys.stderr.write(("\r\033[K" if sys.stderr.isatty() else "") + SENTENCE)
        sys.stderr.flush()
