"""A network that a run-time other than torch answers for, as it is asked: in chunks, over mirrorings, over windows."""

from __future__ import annotations

import itertools
import os
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import Task
from medkd.allocator import keep_freed_memory
from medkd.serving.windows import predict_windows

#: Names of the network's input and outputs.
IMAGE, LOGITS, CLASS_MAP = "image", "logits", "class_map"
#: Pictures per forward pass; volumes go one window or two at a time.
PICTURES_AT_ONCE = 32


class RuntimeNetwork(ABC):
    """What every exported form is asked by, whichever library computes it.

    Args:
        task: what it was trained for.
        has_map: whether it puts out class maps.

    Attributes:
        task: as given.
        has_map: as given.
        runtime: the library that answers and its version, ``onnxruntime 1.32.0``.
    """

    runtime: str

    def __init__(self, task: Task, *, has_map: bool) -> None:
        self.task, self.has_map = task, has_map
        keep_freed_memory()  # answers of a window are megabytes, made anew for each

    @abstractmethod
    def run(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return [logits, class maps] (or [logits]) of images [n, channel, *size of the task] in one forward pass."""

    def ask(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return [logits, class maps] (or [logits]) of images [n, channel, *size of the task], in chunks, without mirrorings."""
        at_once = PICTURES_AT_ONCE if images.ndim == 4 else 1
        chunks = [images[begin : begin + at_once] for begin in range(0, len(images), at_once)]
        answers = [self.run(np.ascontiguousarray(chunk, dtype=np.float32)) for chunk in chunks]
        return answers[0] if len(answers) == 1 else [np.concatenate(parts) for parts in zip(*answers, strict=True)]

    def predict(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return [logits, class maps] (or [logits]), averaged over the task's mirrorings, turned back."""
        flips = self.task.test_time_flips
        subsets = [axes for size in range(len(flips) + 1) for axes in itertools.combinations(flips, size)]
        totals: list[Any] = []
        for axes in subsets:
            places = tuple(axis + 2 for axis in axes)
            answers = [_turned_back(part, places) for part in self.ask(np.flip(images, places) if places else images)]
            totals = answers if not totals else [total + own for total, own in zip(totals, answers, strict=True)]
        return [total / np.float32(len(subsets)) for total in totals] if flips else totals

    def predict_volume(self, volume: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return [logits, class maps] of a volume [channel, *space] that is segmented by overlapping windows, each [class, *space]."""
        parts: list[int] = []

        def answer(windows: NDArray[np.float32]) -> NDArray[np.float32]:
            found = self.predict(windows)
            parts[:] = [part.shape[1] for part in found]
            return np.concatenate(found, axis=1) if len(found) > 1 else found[0]

        whole = predict_windows(answer, volume, self.task.image_size, self.task.overlap)
        return list(np.split(whole, np.cumsum(parts)[:-1]))


def _turned_back(answer: NDArray[np.float32], places: tuple[int, ...]) -> NDArray[np.float32]:
    """Mirror an answer back; one number per class has no sides."""
    return np.flip(answer, places) if places and answer.ndim > 2 else answer


def default_threads() -> int:
    """Return the threads that ``OMP_NUM_THREADS`` allows one forward pass; 0 where it says nothing, which means all cores."""
    return int(os.environ.get("OMP_NUM_THREADS") or 0)
