"""A few real steps of a recipe's trainings, timed: the loop, networks, terms, patch and batch of the recipe, on invented cases."""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from data_contracts import ONE_TEACHER, TrainingSpec
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.knowledge.source import KnowledgeSource, LiveSource
from medkd.memory_need import PeakMemory
from medkd.models._build import build_network, parameter_count, specify_network
from medkd.models._inputs import picking
from medkd.models._tucker import factorised, share_for
from medkd.planning.invented_cases import invented_cases
from medkd.precision import resolve_precision, training_device
from medkd.seeds import derive_seed
from medkd.training.batches import epoch_samples
from medkd.training.checkpoint import save_state
from medkd.training.fit import FitRequest, Trainer, open_fabric
from medkd.training.objective import Objective
from medkd.training.several_teachers import put_together
from medkd.training.training_run import LoadedTeacher, TrainingSetup

#: Steps that are timed at least, after the first, which prepares kernels.
_LEAST_STEPS = 2


@dataclass(frozen=True)
class TrainingProbe:
    """What a few steps of a training took.

    Attributes:
        start_seconds: of everything that is done once: imports, the network, what the first step takes more than others.
        ask_seconds: for which the teacher was asked before the first step, per case of the cohort.
        step_seconds: of a step, the median.
        save_seconds: of writing the training state.
        peak_bytes: of the process meanwhile.
        peak_gpu_bytes: of the GPU's memory; None without one.
        state_bytes: size of the training state.
        parameters: of the network.
        steps: that were timed.
        precision: that was computed in.
    """

    start_seconds: float
    ask_seconds: float
    step_seconds: float
    save_seconds: float
    peak_bytes: int
    peak_gpu_bytes: int | None
    state_bytes: int
    parameters: int
    steps: int
    precision: str


#: The networks of every teacher that a training may ask, by its name.
Teachers = Mapping[str, Sequence[LoadedTeacher]]


def probe_training(spec: TrainingSpec, teacher: LoadedTeacher | Teachers | None, cases: int, folder: Path, seconds: float) -> TrainingProbe:
    """Train for a while and say what that took.

    Args:
        spec: what is trained.
        teacher: what students learn from, one or several by name; None for a teacher.
        cases: that the training will draw from; together with its epochs they decide whether a live teacher is asked beforehand.
        folder: where the state is written.
        seconds: after which no further step is begun, once some were made.
    """
    peak, began, device = PeakMemory(), time.perf_counter(), training_device()
    request = _request(spec, cases, folder, device)
    network = _network(spec, teacher)
    cohort, fabric = invented_cases(spec.shown_task, min(cases, 2 * spec.fit.batch_size)), open_fabric(request)
    before_asking = time.perf_counter()
    trainer = Trainer(network, Objective(spec.objective.terms), cohort, request, fabric, _source(spec, teacher, cohort))
    # A live teacher is asked about whole pictures before the first step, and about patches in every step.
    asked = time.perf_counter() - before_asking if teacher is not None and isinstance(cohort, TensorCohort) else 0.0
    with trainer.bar():
        trainer.resume()
        ready = time.perf_counter()
        times = _timed_steps(trainer, device, ends=began + seconds)
    step = statistics.median(times[1:])
    saving = time.perf_counter()
    save_state(trainer.state, trainer.trained, trainer.loop, key=request.key)
    return TrainingProbe(
        start_seconds=ready - began - asked + max(0.0, times[0] - step),
        ask_seconds=asked / len(cohort),
        step_seconds=step,
        save_seconds=time.perf_counter() - saving,
        peak_bytes=peak.read() or 0,
        peak_gpu_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        state_bytes=trainer.state.stat().st_size,
        parameters=parameter_count(network),
        steps=len(times) - 1,
        precision=str(request.fit.precision),
    )


def _request(spec: TrainingSpec, cases: int, folder: Path, device: torch.device) -> FitRequest:
    """Return the request of a training on few cases that draws each as often as the real one does."""
    few = min(cases, 2 * spec.fit.batch_size)
    drawn = max(spec.fit.batch_size, round((spec.fit.samples_per_epoch or cases) * few / cases))
    precision = resolve_precision(spec.fit.precision, device)
    config = spec.fit.model_copy(update={"precision": precision, "samples_per_epoch": drawn})
    return FitRequest(config, spec.shown_task, 0, folder, "probe", balance=spec.objective.balance)


def _timed_steps(trainer: Trainer, device: torch.device, *, ends: float) -> list[float]:
    """Return the seconds of each step, from drawing its batch to the optimiser."""
    times: list[float] = []
    before = time.perf_counter()
    for _ in _steps(trainer):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        now = time.perf_counter()
        times.append(now - before)
        if len(times) > _LEAST_STEPS and now > ends:
            break
        before = now
    return times


def _steps(trainer: Trainer) -> Iterator[None]:
    """Make steps without end: epoch after epoch of the few cases, begun anew where the recipe's epochs are over."""
    request = trainer.request
    for number in itertools.count():
        epoch = trainer.loop.epoch = number % request.fit.epochs
        for index, sample in enumerate(epoch_samples(trainer.cohort, request.task, request.fit, seed=request.seed, epoch=epoch)):
            trainer.batch(index, sample)
            yield


def _network(spec: TrainingSpec, teacher: LoadedTeacher | Teachers | None) -> nn.Module:
    teacher = _named(teacher, spec.objective.teachers[0])
    network = picking(build_network(specify_network(spec.network, spec.task), seed=derive_seed("probe")), spec.task, spec.shown_task)
    if spec.objective.init != "compressed_teacher" or teacher is None:
        return network
    return factorised(copy.deepcopy(teacher.network), share_for(teacher.network, parameter_count(network)))


def _named(teacher: LoadedTeacher | Teachers | None, name: str) -> LoadedTeacher | None:
    """Return the first network of a teacher."""
    if teacher is None or isinstance(teacher, LoadedTeacher):
        return teacher
    return next(iter(teacher.get(name, ())), None)


def _source(spec: TrainingSpec, teacher: LoadedTeacher | Teachers | None, cohort: TensorCohort | VolumeCohort) -> KnowledgeSource | None:
    """Return the live teachers that the terms ask, also where a recipe reads a store: that has still to be extracted."""
    if teacher is None or "teacher" not in Objective(spec.objective.terms).needs:
        return None
    if not isinstance(teacher, LoadedTeacher):
        if spec.objective.teachers != ONE_TEACHER:
            return _several(spec, teacher)
        teacher = teacher[ONE_TEACHER[0]][0]
    return TrainingSetup(cohort, teacher).source(spec.objective.attribution_source)


def _several(spec: TrainingSpec, teachers: Teachers) -> KnowledgeSource:
    """Return what an arm asks, of networks that have learned nothing: a step with them takes as long."""

    def begin(purpose: str) -> nn.Module:
        network = build_network(specify_network(spec.network, spec.task), seed=derive_seed("probe", purpose))
        return picking(network, spec.task, spec.shown_task)

    # Which fold answers for whom, and what weighs a teacher, is not known yet and costs nothing.
    objective = spec.objective.model_copy(
        update={"out_of_fold": False, "weighting": "mean" if spec.objective.weighting == "validation" else spec.objective.weighting}
    )
    live = {name: [LiveSource(one.network) for one in own] for name, own in teachers.items()} | {"self": [LiveSource(begin("self").eval())]}
    return put_together(objective, lambda name: live[name], begin, spec.task.classes)


@dataclass(frozen=True)
class PassProbe:
    """Seconds of a pass of one case: the answer alone, and the answer with its gradient; memory of the process meanwhile, bytes."""

    forward_seconds: float
    gradient_seconds: float
    peak_bytes: int


def probe_passes(network: nn.Module, shape: tuple[int, ...], seconds: float) -> PassProbe:
    """Time passes of a network over invented images, in float32 on the CPU, as evaluation and explanation make them.

    Args:
        network: any.
        shape: of the images of a forward pass, (batch, channel, *space).
        seconds: after which no further pass is begun, once each kind was made.
    """
    peak, began = PeakMemory(), time.perf_counter()
    network = network.cpu().eval()
    images, batch = torch.rand(shape), shape[0]
    forward: list[float] = []
    gradient: list[float] = []
    while not gradient or time.perf_counter() - began < seconds:
        started = time.perf_counter()
        with torch.no_grad():
            network(images)
        between = time.perf_counter()
        one = images[:1].clone().requires_grad_()
        network(one).sum().backward()
        forward.append((between - started) / batch)
        gradient.append(time.perf_counter() - between)
    network.zero_grad()
    return PassProbe(min(forward), min(gradient), peak.read() or 0)
