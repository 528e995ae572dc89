"""A training whose recipe asks for several processes: ``torchrun`` is started beside this one, and begun again where a process was lost.

What is trained, and with what, is handed over in a file; each process then runs the stage's own function (``ranks.py``), the loop finds its share of
each batch by itself, and the first one writes the result. Each start goes on from the state of the one before (``checkpoint.py``).
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar, cast, get_type_hints

from pydantic import TypeAdapter

import data_contracts
from data_contracts import FrozenModel, MedkdError, MissingDependencyError, Recipe, TrainingSpec, VersionedRecord
from data_contracts.model import run_name
from data_contracts.private import private_folder
from medkd.progress import ProgressBar, progress_bar
from medkd.storage.gpu_slot import gpu_slots, visible_gpus
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace

P = ParamSpec("P")
R = TypeVar("R", bound=VersionedRecord)
_LOG = logging.getLogger("medkd")
#: How often the processes are started before a training gives up.
MOST_STARTS = 3
#: Files of a training's folder: what is asked, what came of it, an error of ours, and what the processes said.
REQUEST, RESULT, ERROR, SAID = "request.json", "result.json", "error.json", "processes.log"
#: What a line of the first process begins with that is about its progress.
PROGRESS = "medkd-progress "


def is_rank() -> bool:
    """Return whether this process is one of those that torchrun started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def require_processes(recipe: Recipe) -> None:
    """Refuse a recipe that wants more processes than this machine has GPUs, where it has some.

    Raises:
        MissingDependencyError: ``GPU_TOO_FEW``.
    """
    wanted = max(fit.processes for fit in (recipe.teacher.fit, recipe.student.fit, *(one.fit for one in recipe.teachers.values())))
    gpus = visible_gpus() if wanted > 1 else 0
    if 0 < gpus < wanted:
        raise MissingDependencyError(
            "GPU_TOO_FEW",
            f"expected {wanted} GPUs for the processes of {recipe.name}, there are {gpus}; set fit.processes to at most {gpus}",
        )


def in_processes(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function that trains one network do so in as many processes as its specification asks for.

    Args:
        function: of a ``workspace``, a ``spec`` and further records, to a record; found by its module and name, so that other processes find it too.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        """Train here, or in processes that this one waits for."""
        given = inspect.signature(function).bind(*args, **kwargs).arguments
        workspace: Workspace = given["workspace"]
        spec: TrainingSpec = given["spec"]
        if spec.fit.processes == 1 or is_rank():
            return function(*args, **kwargs)
        directives: FrozenModel | None = given.get("directives")
        digest = None if directives is None else directives.digest()
        folder = private_folder(workspace.root / "training" / spec.recipe / run_name(spec.arm, spec.seed, digest))
        hints = get_type_hints(function)
        payload = {name: TypeAdapter(hints[name]).dump_python(value, mode="json") for name, value in given.items()}
        asked = {"module": function.__module__, "name": function.__qualname__, "arguments": payload}
        write_bytes(folder / REQUEST, json.dumps(asked).encode())
        produces: type[R] = hints["return"]
        return data_contracts.read_record(_trained(folder, spec, workspace), produces)

    return call


def _trained(folder: Path, spec: TrainingSpec, workspace: Workspace) -> bytes:
    """Start the processes until they end well; return the JSON of what came of it."""
    count, title = spec.fit.processes, f"{spec.recipe}/{spec.arm}-{spec.seed}"
    with gpu_slots(count) as gpus:
        for number in range(1, MOST_STARTS + 1):
            for name in (RESULT, ERROR):
                (folder / name).unlink(missing_ok=True)
            bar: ProgressBar[Any] = progress_bar(title=title, unit="step", enabled=workspace.progress, total=1)
            with bar:
                status = _torchrun(folder, count, gpus, bar)
            if (folder / ERROR).is_file():
                raise _error((folder / ERROR).read_bytes())
            if status == 0 and (folder / RESULT).is_file():
                return (folder / RESULT).read_bytes()
            _LOG.warning("a process of %s was lost (start %d of %d); the training goes on from its state", title, number, MOST_STARTS)
    raise MissingDependencyError(
        "PROCESSES_LOST",
        f"expected {count} processes to train {title} to its end, they ended before it {MOST_STARTS} times; {SAID} of its folder says why",
    )


def _torchrun(folder: Path, count: int, gpus: tuple[int, ...], bar: ProgressBar[Any]) -> int:
    """Run the processes to their end and return the exit status; what they say is kept."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [*torchrun, "-m", "medkd.training.ranks", str(folder / REQUEST)]
    with _started(command, _environment(gpus)) as process, (folder / SAID).open("a", encoding="utf-8") as said:
        for line in cast(IO[str], process.stdout):
            if line.startswith(PROGRESS):
                bar.reach(float(line.removeprefix(PROGRESS)))
            else:
                said.write(line)
        return process.wait()


@contextmanager
def _started(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start a process that ends with this one, however this one ends: its input stays open for as long as this process lives."""
    # In a session of its own: a terminal's Ctrl-C ends this process, and the others with it.
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait()


def _environment(gpus: tuple[int, ...]) -> dict[str, str]:
    """Return the environment of the processes: one thread each, and of the GPUs those that are held for them."""
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    if gpus:
        named = os.environ.get("CUDA_VISIBLE_DEVICES")
        visible = named.split(",") if named else [str(index) for index in range(max(gpus) + 1)]
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(visible[index] for index in gpus)
    return environment


def _error(payload: bytes) -> MedkdError:
    """Return the error of ours that a process met."""
    met = json.loads(payload)
    kind: type[MedkdError] = getattr(data_contracts, met["kind"])
    return kind(met["code"], met["message"])
