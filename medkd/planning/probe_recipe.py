"""Probe a recipe in a process of its own, whose memory holds nothing else: ``python -m medkd.planning.probe_recipe`` < REQUEST."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, cast

from pydantic import Field

from data_contracts import FrozenModel, MissingDependencyError, Recipe, Role, networks_of, read_record
from data_contracts.record import Finite

#: Digest of weights that nobody keeps.
_NO_DIGEST = "0" * 64
#: Share of the time that is kept for passes.
_PASSES_SHARE = 0.15


class ProbeRequest(FrozenModel):
    """What is probed.

    Attributes:
        recipe: its canonical JSON.
        teacher_cases: cases that the teacher is trained on.
        student_cases: cases that each arm's students are trained on.
        seconds: that all of it may take, imports included.
        threads: of torch; None leaves them as they are.
    """

    recipe: str
    teacher_cases: int = Field(ge=1)
    student_cases: dict[str, int]
    seconds: Finite = Field(gt=0)
    threads: int | None = None


def probe_recipe(request: ProbeRequest, *, after: Callable[[str], None] = lambda _name: None) -> dict[str, Any]:
    """Probe a recipe in a new process and return what it found.

    Args:
        request: what is probed.
        after: called with the name of each probe that is over.

    Returns:
        ``trainings`` (a :class:`medkd.planning.probe.TrainingProbe` as a dictionary per ``teacher`` and arm, an arm that there was no time for
        left out), ``passes`` (per role, of :class:`medkd.planning.probe.PassProbe`), ``base_bytes`` (of a process that has imported all it needs)
        and ``processor``.

    Raises:
        MissingDependencyError: ``PROBE_FAILED`` with what the process said last.
    """
    command = [sys.executable, "-m", "medkd.planning.probe_recipe"]
    with tempfile.TemporaryFile() as said:
        found: dict[str, Any] | None = None
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True) as process:
            with cast(IO[str], process.stdin) as question:
                question.write(request.model_dump_json())
            for line in cast(IO[str], process.stdout):
                answer = json.loads(line)
                found = answer.get("found", found)
                if "after" in answer:
                    after(answer["after"])
        if process.returncode == 0 and found is not None:
            return found
        said.seek(0)
        why = " ".join(said.read().decode(errors="replace").split())[-160:]
    raise MissingDependencyError("PROBE_FAILED", f"expected a few steps of training to run, they do not: {why or 'the process was killed'}")


def _probed(request: ProbeRequest, began: float) -> dict[str, Any]:
    """Do what :func:`probe_recipe` returns, in this process."""
    import torch

    from medkd.memory_need import peak_bytes
    from medkd.models._build import build_network
    from medkd.models._inputs import picked, picking
    from medkd.planning.probe import probe_passes, probe_training
    from medkd.planning.processor import processor_name
    from medkd.training.recipes import network_spec
    from medkd.training.training_run import LoadedTeacher

    if request.threads is not None:
        torch.set_num_threads(request.threads)
    recipe, base = read_record(request.recipe, Recipe), peak_bytes() or 0
    ends = began + request.seconds
    teacher_spec = network_spec(recipe, Role.TEACHER)
    teacher = LoadedTeacher(picking(build_network(teacher_spec), recipe.teacher_task(), recipe.task), teacher_spec, _NO_DIGEST)
    teachers = {"teacher": (teacher,)} | {name: _untrained(recipe, name) for name in recipe.teachers}
    # The arm of most terms first: where time runs out, the others are taken as the costliest that was probed.
    arms = sorted(recipe.arms, key=lambda arm: -len(recipe.arms[arm].terms))
    further = {name: networks_of(recipe, name)[0] for name in recipe.teachers}
    specs = {"teacher": recipe.teacher_training()} | {arm: recipe.student_training(arm, recipe.seeds[0]) for arm in arms}
    # The arms before further teachers: where time runs out, these are taken as the costliest that was probed.
    specs |= {network.arm: recipe.teacher_training(network) for network in further.values()}
    cases = dict.fromkeys(specs, request.teacher_cases) | request.student_cases
    trainings: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for place, (name, spec) in enumerate(specs.items()):
            left = (ends - time.time()) * (1 - _PASSES_SHARE)
            if left <= 0 and place > 1:  # a teacher and one arm at least
                continue
            share = left / (len(specs) - place + (place == 0))  # twice as much for the teacher
            found = probe_training(spec, None if place == 0 else teachers, cases[name], Path(folder) / name, share)
            trainings[name] = asdict(found)
            _say({"after": name})
    passes = {}
    for role, network in ((Role.TEACHER, picked(teacher.network)), (Role.STUDENT, build_network(network_spec(recipe, Role.STUDENT)))):
        shape = (recipe.student.fit.batch_size, network_spec(recipe, role).in_channels, *recipe.task.image_size)
        found_passes = probe_passes(network, shape, max(0.0, ends - time.time()) / 2)
        passes[role.value] = asdict(found_passes)
    _say({"after": "passes"})
    return {"trainings": trainings, "passes": passes, "base_bytes": base, "processor": processor_name()}


def _untrained(recipe: Recipe, name: str) -> tuple[Any, ...]:
    """Return as many networks as a further teacher has, with weights that nobody keeps."""
    from medkd.models._build import build_network, specify_network
    from medkd.models._inputs import picking
    from medkd.training.training_run import LoadedTeacher

    own = recipe.teacher_task(name)
    spec = specify_network(recipe.teachers[name].network, own)
    return tuple(LoadedTeacher(picking(build_network(spec), own, recipe.task).eval(), spec, _NO_DIGEST) for _ in networks_of(recipe, name))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _say({"found": _probed(ProbeRequest.model_validate_json(sys.stdin.read()), time.time())})
