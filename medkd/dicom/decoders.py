"""Slices of a volume are decoded here, or by worker processes where that pays for their start."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import numpy as np

from medkd.dicom.decode import SliceStats, decode_into, decode_part
from medkd.dicom.mapped_volume import MappedVolume
from medkd.dicom.pixel_plan import PixelPlan

#: Compressed pixels from which worker processes pay for their start (about a second each).
_POOL_FROM_PIXELS = 16 * 512 * 512


class Decoders:
    """Decodes here what is uncompressed or little; worker processes, started when first needed, take the rest."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or max(1, len(os.sched_getaffinity(0)))
        self._processes: ProcessPoolExecutor | None = None
        self.decoded = 0

    def decode(self, volume: MappedVolume, jobs: Sequence[tuple[int, PixelPlan]]) -> list[SliceStats]:
        """Decode slices into array ``volume`` at their places; statistics in the order of ``jobs``."""
        self.decoded += len(jobs)
        compressed = [plan for _, plan in jobs if not plan.plain]
        if sum(plan.matrix[0] * plan.matrix[1] for plan in compressed) < _POOL_FROM_PIXELS or self.workers == 1:
            return _decode_in_order(volume, jobs)
        target = volume.open("volume")
        if self._processes is None:
            # A fork copies locks that threads of the caller may hold, and they are never released in the copy.
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["medkd.dicom.decode", "pydicom.pixels.decoders", "openjpeg", "libjpeg", "rle"])
            self._processes = ProcessPoolExecutor(self.workers, mp_context=context)
        where = (volume.partial, target.dtype.str, target.shape, volume.offset("volume"))
        # Neighbours together: frames of one file follow one another, and a worker keeps the last file that it read.
        parts = [(where, jobs[begin : begin + 8]) for begin in range(0, len(jobs), 8)]
        return [stats for done in self._processes.map(decode_part, parts) for stats in done]

    def close(self) -> None:
        """Stop all workers."""
        if self._processes is not None:
            self._processes.shutdown()


@contextmanager
def decoders(workers: int | None = None) -> Iterator[Decoders]:
    """Give workers for one ingestion and stop them afterwards."""
    pool = Decoders(workers)
    try:
        yield pool
    finally:
        pool.close()


def _decode_in_order(volume: MappedVolume, jobs: Sequence[tuple[int, PixelPlan]]) -> list[SliceStats]:
    """Decode one slice after another through one buffer into the file; places without a job are zero."""
    dtype, shape = volume.arrays["volume"]
    plans, stats = dict(jobs), []
    plane = np.zeros(shape[1:], dtype=dtype)
    for place in range(shape[0]):
        plan = plans.get(place)
        if plan is None or (result := decode_into(plane, plan)).error is not None:
            plane[...] = 0
        if plan is not None:
            stats.append(result)
        volume.append(plane)
    return stats
