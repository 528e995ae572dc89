"""The process that workers are forked from (Linux): imported by ``multiprocessing``'s fork server, first of all and in no other process."""

from __future__ import annotations

import ctypes
import gc
import os
import signal

#: prctl(2): the signal that a process gets when the one that started it ends.
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _end_with_starter() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


# By itself it would notice only after the imports, four seconds in which a stopped run's terminal waits for it. A worker that is being
# forked meanwhile would complain that nobody tells it what to do.
_end_with_starter()
os.register_at_fork(after_in_child=_end_with_starter)

import flows.worker_imports  # noqa: E402, F401

# What is imported stays: out of the collector's way, its pages are shared by all workers.
gc.freeze()
