"""Seconds and memory of forms, each in a process of its own, asked in turns: what else the machine does hits all of them alike."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from data_contracts import CohortSet, CompressionError, Estimate, MadeForm, Subset, Task
from medkd.cohorts.open_cohort import open_volume_use
from medkd.cohorts.tensor_cohort import open_use
from medkd.compression.form_process import FormJob
from medkd.serving.openvino_network import TOPOLOGY
from medkd.storage.store import Store
from medkd.storage.workspace import Workspace
from medkd.training.energy import assumed_watts, energy

#: Turns, and cases of each turn: those of the middle size.
ROUNDS, CASES = 7, 2
_TIMEOUT_S = 300.0
#: What a process runs.
MODULE = "medkd.compression.form_process"


@dataclass(frozen=True)
class FormCost:
    """What a form costs on this machine, one thread.

    Attributes:
        seconds: wall seconds of each turn, mean over its cases.
        processor_seconds: mean over all turns and cases.
        peak_megabytes: largest resident memory of its process, MB (10^6 bytes).
    """

    seconds: tuple[float, ...]
    processor_seconds: float
    peak_megabytes: float

    @property
    def median(self) -> float:
        """Return the median of the turns, s."""
        return statistics.median(self.seconds)

    @property
    def watt_hours(self) -> float:
        """Return an estimate of the energy of one case, Wh."""
        return energy(assumed_watts(), cpu_seconds=self.processor_seconds, gpu_seconds=0.0, gpu_joules=None)[0]

    def speed_over(self, other: FormCost) -> Estimate:
        """Return how many times as fast as another the form is: median of the turns, with their range in the place of an interval."""
        ratios = [reference / own for own, reference in zip(self.seconds, other.seconds, strict=True)]
        return Estimate(mean=statistics.median(ratios), low=min(ratios), high=max(ratios), n=len(ratios))


def time_forms(workspace: Workspace, forms: Sequence[MadeForm], cohorts: CohortSet, *, rounds: int = ROUNDS) -> dict[str, FormCost]:
    """Ask every form about the same test cases in turns, and return what each costs by its name.

    Args:
        workspace: where forms and cases lie.
        forms: one of each name.
        cohorts: of the recipe.
        rounds: turns.

    Raises:
        CompressionError: ``FORM_NOT_ASKED`` naming a form whose process failed, with what it said last.
    """
    with tempfile.TemporaryDirectory(prefix="medkd-time-") as scratch:
        cases = Path(scratch) / "cases.safetensors"
        arrays = typical_cases(cohorts, workspace.store, forms[0].checkpoint.task)
        safetensors.numpy.save_file(arrays, cases)
        jobs = {form.name: form_job(workspace, form, cases) for form in forms}
        count = sum(name.startswith("values/") for name in arrays)
        return time_jobs(jobs, count, rounds, Path(scratch))


def time_jobs(
    jobs: Mapping[str, FormJob], cases: int, rounds: int, scratch: Path, modules: Mapping[str, str] | None = None
) -> dict[str, FormCost]:
    """Return what each of some jobs costs, asked in turns; errors as :func:`time_forms`.

    Args:
        jobs: by name.
        cases: of each turn.
        rounds: turns.
        scratch: folder for what processes are told and say.
        modules: that are run instead of :mod:`medkd.compression.form_process`, by name.
    """
    module_of = modules or {}
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    used: dict[str, list[float]] = {name: [] for name in jobs}
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(_started(name, job, scratch, module_of.get(name, MODULE))) for name, job in jobs.items()}
        for _ in range(rounds):
            for name, process in running.items():
                answers = [process.ask(str(case)) for case in range(cases)]
                seconds[name].append(statistics.mean(one["seconds"] for one in answers))
                used[name] += [one["processor_seconds"] for one in answers]
        peaks = {name: process.ask("end")["peak_bytes"] for name, process in running.items()}
    return {name: FormCost(tuple(seconds[name]), statistics.mean(used[name]), peaks[name] / 1e6) for name in jobs}


def typical_cases(cohorts: CohortSet, store: Store, task: Task) -> dict[str, NDArray[np.generic]]:
    """Return test cases of the middle size as they were imported: ``values/N`` [image, *space] and, of volumes, ``affine/N``."""
    if task.spatial_dims == 2:
        low, high = task.window
        images = open_use(cohorts, Subset.TEST, store, task).images[:CASES].numpy()
        # As they came: the window is part of what is timed.
        return {f"values/{row}": ((image + 1) / 2 * (high - low) + low).astype(np.float32) for row, image in enumerate(images)}
    volumes = open_volume_use(cohorts, Subset.TEST, store, task)
    by_size = np.argsort([reference.numel() for reference in volumes.references], kind="stable")
    middle = by_size[max(0, (len(by_size) - CASES) // 2) :][:CASES]
    found: dict[str, NDArray[np.generic]] = {}
    for place, row in enumerate(middle.tolist()):
        alignment = volumes.alignments[row]
        # Standardised intensities stay what they are when they are standardised again, so the image stands for what was imported.
        found[f"values/{place}"] = alignment.array_to_source(volumes.images[row].numpy()).astype(np.float32)
        found[f"affine/{place}"] = np.asarray(alignment.source.affine_lps_mm, dtype=np.float64)
    return {name: np.ascontiguousarray(value) for name, value in found.items()}


def form_job(workspace: Workspace, form: MadeForm, cases: Path) -> FormJob:
    """Return what the process of a form is told."""
    refs = form.files if form.files else {"weights": form.checkpoint.weights}
    paths = [workspace.store.path(ref) for _, ref in sorted(refs.items(), key=lambda item: item[0] != TOPOLOGY)]
    return FormJob(runtime=form.runtime, checkpoint=form.checkpoint, files=tuple(map(str, paths)), cases=str(cases))


class _Process:
    """A running form.

    Args:
        name: of the form, for sentences.
        process: that answers a line with a line.
        said: file with what it wrote to standard error.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], said: Path) -> None:
        self.name, self.process, self._said = name, process, said

    def ask(self, line: str) -> dict[str, float]:
        """Ask by a line, and return what :meth:`read` does."""
        if self.process.stdin is None:
            raise self._failed()
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise self._failed() from error
        return self.read()

    def read(self) -> dict[str, float]:
        """Return what the process says next.

        Raises:
            CompressionError: ``FORM_NOT_ASKED`` when it ends, or says nothing for too long.
        """
        if self.process.stdout is None:
            raise self._failed()
        watch = threading.Timer(_TIMEOUT_S, self.process.kill)
        watch.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise self._failed()
        found: dict[str, float] = json.loads(line)
        return found

    def _failed(self) -> CompressionError:
        why = " ".join(self._said.read_text(encoding="utf-8", errors="replace").split())[-160:]
        return CompressionError(
            "FORM_NOT_ASKED", f"expected the form {self.name!r} to answer, its process ended: {why or 'it said nothing'}"
        )


@contextlib.contextmanager
def _started(name: str, job: FormJob, scratch: Path, module: str) -> Iterator[_Process]:
    path, said = scratch / f"{name}.json", scratch / f"{name}.txt"
    path.write_text(job.model_dump_json(), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with said.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env=environment,
        )
    with process:
        try:
            asked = _Process(name, process, said)
            asked.read()
            yield asked
        finally:
            process.kill()
