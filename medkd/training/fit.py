"""The one training loop: a network, an objective, a cohort; Lightning Fabric carries device, precision and processes."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from data_contracts import DataError, LossBalancing, Task, TrainingConfig
from medkd.knowledge.folds import FoldSource
from medkd.knowledge.mixture_source import parts_of
from medkd.knowledge.online import EmaSource, PeerSource
from medkd.knowledge.source import KnowledgeSource, LiveSource
from medkd.precision import resolve_precision, training_device
from medkd.progress import progress_bar
from medkd.seeds import derive_seed
from medkd.storage.metrics_log import MetricsLog
from medkd.trace import Sample, forked_rng
from medkd.training.balance import LossBalancer
from medkd.training.batches import TrainingCohort, epoch_samples, on_device, own_part, resident
from medkd.training.checkpoint import LoopState, TrainState, load_state, save_state
from medkd.training.cost_meter import CostMeter
from medkd.training.objective import EXPLANATIONS, Objective
from medkd.training.peer import PeerStudent
from medkd.training.schedule import learning_rate
from medkd.training.step import DistillationStep, StepBatch
from medkd.training.system_metrics import system_metrics

if TYPE_CHECKING:  # Fabric brings torch's compiler with it, two seconds of every process; only one that trains has use for it
    from lightning_fabric import Fabric

#: Seconds of training that an interruption may cost.
SAVE_SECONDS = 60.0
#: Steps between two questions of several processes to one another whether to write the state.
AGREE_EVERY = 32


@dataclass(frozen=True)
class FitRequest:
    """What to fit: how, under which seed, where the state goes, and the key that state must match to be resumed.

    Attributes:
        gpu: index of the GPU that is held for it; None lets Fabric choose (the CPU where there is no GPU).
        balance: how weights follow what is measured.
        after_epoch: called with the number of finished epochs and the student (its averaged weights where they are kept).
        validate: figure of a student, higher is better, that ``patience`` is about.
        save_seconds: a state is written after every epoch, and within one when so many seconds have passed.
        cost: measures what the training costs; what earlier parts of it did is added when it resumes.
    """

    fit: TrainingConfig
    task: Task
    seed: int
    folder: Path
    key: str
    progress: bool = False
    title: str = "train"
    gpu: int | None = None
    balance: LossBalancing | None = None
    after_epoch: Callable[[int, nn.Module], None] | None = None
    validate: Callable[[nn.Module], float] | None = None
    save_seconds: float = SAVE_SECONDS
    cost: CostMeter | None = None


def fit(
    student: nn.Module,
    objective: Objective,
    cohort: TrainingCohort,
    request: FitRequest,
    *,
    teacher: nn.Module | KnowledgeSource | None = None,
) -> nn.Module:
    """Fit a network and return it in eval mode; a state left by an interrupted run of the same key is continued.

    Order of cases, views and steps are functions of (seed, epoch): the result does not depend on interruptions. Started by ``torchrun``, the
    processes share each batch.

    Args:
        student: network with an anatomy.
        objective: what is minimised.
        cohort: what is drawn from.
        request: how.
        teacher: live network, or any source of knowledge.

    Raises:
        DataError: ``LOSS_NOT_FINITE`` when the objective becomes NaN or infinite, ``VALIDATION_MISSING`` when patience has nothing to look at.
    """
    if request.fit.patience is not None and request.validate is None:
        raise DataError("VALIDATION_MISSING", f"expected validation cases for the patience of {request.title}, this run has none")
    precision = resolve_precision(request.fit.precision, training_device(request.gpu))
    request = replace(request, fit=request.fit.model_copy(update={"precision": precision}))
    fabric = open_fabric(request)
    run = Trainer(student, objective, cohort, request, fabric, teacher)
    with run.bar(), forked_rng(request.seed), deterministic(request.fit.deterministic):
        run.resume()
        while run.loop.epoch < request.fit.epochs and not run.is_exhausted():
            run.epoch()
    return run.result()


def open_fabric(request: FitRequest) -> Fabric:
    """Return Fabric for one device, or for the processes that ``torchrun`` started."""
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its import sets INFO: a line for every training
    processes = int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    precision: Any = "bf16-mixed" if request.fit.precision == "bf16" else "32-true"
    if processes > 1:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
        # A term that is left out of a step leaves its projection without a gradient.
        strategy = DDPStrategy(find_unused_parameters=True)
        fabric = Fabric(accelerator="auto", devices=local, num_nodes=processes // local, strategy=strategy, precision=precision)
        fabric.launch()
        return fabric
    return Fabric(accelerator="auto", devices=1 if request.gpu is None else [request.gpu], precision=precision)


@contextlib.contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Refuse algorithms whose result depends on chance for a while; settings are put back."""
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    # cuBLAS is deterministic only with a fixed workspace, which it reads when it begins.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


class Trainer:
    """One run of the loop: what is trained, and how far it has come."""

    def __init__(
        self,
        student: nn.Module,
        objective: Objective,
        cohort: TrainingCohort,
        request: FitRequest,
        fabric: Fabric,
        teacher: nn.Module | KnowledgeSource | None,
    ) -> None:
        self.request, self.fabric = request, fabric
        self.cohort = resident(cohort, fabric.device)
        config, flat = request.fit, request.task.spatial_dims == 2
        if flat and (config.precision == "bf16" or fabric.device.type == "cuda"):
            # Never channels-last in fp32 on CPU: oneDNN corrupts the heap on small strided 1x1 convolutions.
            student = student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        source = LiveSource(teacher) if isinstance(teacher, nn.Module) else teacher
        self.ema_teacher = next(parts_of(source, EmaSource), None)
        if self.ema_teacher is not None:
            self.ema_teacher.begin(student)
        with forked_rng(derive_seed("projectors", request.seed)):
            blank = torch.zeros(1, request.task.in_channels, *request.task.image_size)
            adapters = objective.connect(student, source, blank)
            peers = [PeerStudent(one, objective.connect(one.network, source, blank)) for one in parts_of(source, PeerSource)]
        if source is not None:
            source = source.prepared(fabric.device, channels_last=flat and config.precision == "bf16")
            ask_before(source, self.cohort, request, fabric, maps=bool(objective.needs & EXPLANATIONS) or request.balance is not None)
        balancer = None if request.balance is None else LossBalancer(request.balance, objective)
        self.step = DistillationStep(student.train(), objective, source, adapters, balancer)
        self.step.learn_with(peers[0] if peers else None)
        self.optimizer = torch.optim.AdamW(self.step.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        self.averaged: AveragedModel | None = None
        self._bar: Any = None
        self._sums: dict[str, Tensor] = {}
        if config.ema is not None:
            averaging = get_ema_multi_avg_fn(config.ema)
            self.averaged = AveragedModel(student, device=fabric.device, multi_avg_fn=averaging, use_buffers=True)
        self.trained = TrainState(
            self.step, self.optimizer, self.averaged, {}, None if self.ema_teacher is None else self.ema_teacher.network
        )
        self.loop = LoopState()
        self.journal = MetricsLog(request.folder / "metrics.jsonl")
        self.batches = max(1, (config.samples_per_epoch or len(cohort)) // config.batch_size)

    @property
    def state(self) -> Path:
        """Return where the state lies."""
        return self.request.folder / "state.safetensors"

    @contextlib.contextmanager
    def bar(self) -> Iterator[None]:
        """Show progress while the run lasts."""
        total = self.request.fit.epochs * self.batches
        shown = self.request.progress and self.fabric.is_global_zero
        with progress_bar(title=self.request.title, unit="step", enabled=shown, total=total) as self._bar:
            yield

    def resume(self) -> None:
        """Wrap what is trained, and take up the state of an interrupted run of the same key."""
        self.loop = load_state(self.state, self.trained, key=self.request.key)
        if self.request.cost is not None:
            self.request.cost.processes = self.fabric.world_size
            self.request.cost.resume(self.loop.cost)
        self._sums = {name: torch.tensor(total, dtype=torch.float64) for name, total in self.loop.sums.items()}
        self._bar.update(self.loop.epoch * self.batches + self.loop.batch)
        with warnings.catch_warnings():  # Fabric announces its precision on every set-up; a run has twenty of them
            warnings.filterwarnings("ignore", category=UserWarning, module="lightning_fabric")
            self.wrapped, self.wrapped_optimizer = self.fabric.setup(self.step, self.optimizer)
        self._saved = time.perf_counter()

    def is_exhausted(self) -> bool:
        """Return whether patience is at its end."""
        patience = self.request.fit.patience
        return patience is not None and self.loop.since_best >= patience

    def epoch(self) -> None:
        """Train one epoch, or what is left of it."""
        loop, config, request = self.loop, self.request.fit, self.request
        if loop.batch == 0:
            # Seeded anew for every epoch: what dropout draws must not depend on where a run was interrupted.
            torch.manual_seed(derive_seed("dropout", request.seed, loop.epoch))
        started, before = time.perf_counter(), loop.seconds
        for index, sample in enumerate(epoch_samples(self.cohort, request.task, config, seed=request.seed, epoch=loop.epoch)):
            if index < loop.batch:
                continue
            self.batch(index, sample)
            loop.batch, loop.seconds = index + 1, before + time.perf_counter() - started
            self._bar.update()
            is_boundary = (index + 1) % config.accumulate == 0
            if is_boundary and index + 1 < self.batches and self._is_save_due((index + 1) // config.accumulate):
                self._save()
        self._end_epoch()

    def batch(self, index: int, sample: Sample) -> None:
        """Add one batch's gradient, and make a step where its group is complete."""
        loop, config, fabric = self.loop, self.request.fit, self.fabric
        group = index // config.accumulate * config.accumulate
        # All batches of a group belong to one step, which is made at the group's place in training.
        share = (loop.epoch * self.batches + group) / (config.epochs * self.batches)
        size = min(config.accumulate, self.batches - group)
        is_last = index + 1 == group + size
        rate = learning_rate(config.learning_rate, share) * (1.0 if self.step.balancer is None else self.step.balancer.rate())
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        if index == group:
            self.wrapped_optimizer.zero_grad()
        # Gradients of a group are exchanged once, with its last batch.
        with fabric.no_backward_sync(self.wrapped, enabled=not is_last):
            loss, values = self.wrapped(StepBatch(own_part(on_device(sample, fabric.device), fabric), share=share, step=loop.step))
            fabric.backward(loss / size)
        if is_last:
            if config.clip_norm is not None:
                fabric.clip_gradients(self.wrapped, self.wrapped_optimizer, max_norm=config.clip_norm, error_if_nonfinite=False)
            self.wrapped_optimizer.step()
            loop.step += 1
            if self.averaged is not None:
                self.averaged.update_parameters(self.step.student)
            if self.ema_teacher is not None:
                self.ema_teacher.update(self.step.student, loop.step)
        for name, value in {"loss": loss.detach(), **values}.items():
            # Summed where they are: reading a number off a GPU would wait for it in every step.
            so_far = self._sums.get(name)
            self._sums[name] = value.double() if so_far is None else so_far.to(value.device) + value.double()
            loop.counts[name] = loop.counts.get(name, 0) + 1

    def _is_save_due(self, boundary: int) -> bool:
        """Return whether the state is to be written within the epoch; processes agree, and then share what they summed up so far.

        Args:
            boundary: steps of this epoch that were made.
        """
        is_due = time.perf_counter() - self._saved > self.request.save_seconds
        if self.fabric.world_size == 1:
            return is_due
        if boundary % AGREE_EVERY or not self._mean(float(is_due)):
            return False
        # The state holds the first one's sums, which all go on from when it is taken up.
        self._read_sums()
        self._sums = {name: torch.tensor(self._mean(total), dtype=torch.float64) for name, total in self.loop.sums.items()}
        return True

    def _end_epoch(self) -> None:
        """Judge, keep and note down a finished epoch."""
        loop, request = self.loop, self.request
        self._read_sums()
        means = {name: self._mean(total / loop.counts[name]) for name, total in loop.sums.items()}
        if not math.isfinite(means["loss"]):
            raise DataError(
                "LOSS_NOT_FINITE",
                f"expected a finite loss in epoch {loop.epoch + 1} of {request.title}, got {means['loss']}: lower the learning rate",
            )
        shown = {**means, "seconds": loop.seconds}
        if self.step.balancer is not None:
            shown |= {**self.step.balancer.curves(), "rate": self.step.balancer.rate()}
        if request.validate is not None and request.fit.patience is not None:
            # The first process's: statistics of batch normalisation differ between them, and all must stop together.
            figure = self.fabric.broadcast(request.validate(self._student()))
            self._judge(figure)
            shown["validation"] = figure
        if request.after_epoch is not None and self.fabric.is_global_zero:
            # Before the state: a run that is interrupted between the two repeats the epoch and its call.
            request.after_epoch(loop.epoch + 1, self._student())
        loop.epoch, loop.batch, loop.sums, loop.counts, loop.seconds = loop.epoch + 1, 0, {}, {}, 0.0
        self._sums = {}
        self._save()
        if self.fabric.is_global_zero:
            self.journal.write_epoch(loop.epoch, shown | system_metrics(self.fabric.device))

    def _mean(self, value: float) -> float:
        """Return the mean over the processes that share the batches."""
        if self.fabric.world_size == 1:
            return value
        own = torch.tensor(value, dtype=torch.float64, device=self.fabric.device)
        shared: Any = self.fabric.all_reduce(own, reduce_op="mean")
        return float(shared)

    def _judge(self, figure: float) -> None:
        if self.loop.best is None or figure > self.loop.best:
            self.loop.best, self.loop.since_best = figure, 0
            # A copy: the state dictionary shares its memory with the weights that are trained on.
            self.trained.best.update({name: value.detach().clone() for name, value in self._student().state_dict().items()})
        else:
            self.loop.since_best += 1

    def _student(self) -> nn.Module:
        """Return the student that would be kept now: with averaged weights where they are asked for."""
        student: nn.Module = self.step.student if self.averaged is None else self.averaged.module
        return student

    def _read_sums(self) -> None:
        self.loop.sums = {name: float(total) for name, total in self._sums.items()}

    def _save(self) -> None:
        self._read_sums()
        if self.request.cost is not None:
            self.loop.cost = self.request.cost.so_far().model_dump(mode="json")
        if self.fabric.is_global_zero:
            save_state(self.state, self.trained, self.loop, key=self.request.key)
        self._saved = time.perf_counter()

    def result(self) -> nn.Module:
        """Return what is kept, on the CPU, in eval mode."""
        fitted = self._student()
        if self.trained.best:
            fitted.load_state_dict(self.trained.best)
        contiguous: nn.Module = fitted.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return contiguous.cpu().eval()


def ask_before(source: KnowledgeSource, cohort: TrainingCohort, request: FitRequest, fabric: Fabric, *, maps: bool) -> None:
    """Let a live teacher answer before training where its views are few and come again: whole pictures, at most mirrored, on a CPU."""
    config, images = request.fit, getattr(cohort, "images", None)
    asked: list[LiveSource | FoldSource] = [*parts_of(source, LiveSource), *parts_of(source, FoldSource)]
    # Volumes are cut anew for every batch: no view of theirs comes again.
    if not isinstance(images, Tensor) or not asked or config.augment == "affine" or config.mix != "none":
        return
    views = len(images) * (2 if config.augment == "flip" else 1)
    drawn = config.epochs * (config.samples_per_epoch or len(images))
    if fabric.device.type == "cpu" and fabric.world_size == 1 and drawn > views:
        with fabric.autocast():
            for one in asked:
                one.ask_before(images, mirrored=config.augment == "flip", maps=maps, batch=config.batch_size)
