"""The one training loop: a network, an objective, a cohort; Lightning Fabric carries device and precision."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from data_contracts import DataError, Evidence, Fit, Task
from medkd.knowledge.control import ControlledKnowledge
from medkd.knowledge.interface import Knowledge, LiveKnowledge
from medkd.progress import progress_bar
from medkd.trace import Sample, anatomy_of, forked_rng, trace
from medkd.training.checkpoint import Journal, load_state, save_state
from medkd.training.objective import Objective
from medkd.volumes.augment import draw_view
from medkd.volumes.phantom import derive_seed

# Fabric announces its precision on every set-up; a run has twenty of them.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


class TrainingCohort(Protocol):
    """What training draws from: a function of rows, never of what was drawn before."""

    def __len__(self) -> int:
        """Return the number of cases."""
        ...

    def draw(self, rows: Tensor, task: Task, wish: Fit, generator: torch.Generator) -> Sample:
        """Return the batch of some rows."""
        ...

    def patients(self) -> list[str]:
        """Return the patient key of each case."""
        ...


@dataclass(frozen=True)
class FitRequest:
    """What to fit: how, under which seed, where the state goes, and the key that state must match to be resumed.

    ``gpu`` is the index of the GPU that is held for it; None lets Fabric choose (the CPU where there is no GPU). ``evidence`` says whose
    explanations the teacher gives, ``stranger`` is the network with random weights that one control asks. ``after_epoch`` is called
    with the number of finished epochs and the student.
    """

    fit: Fit
    task: Task
    seed: int
    folder: Path
    key: str
    progress: bool = False
    title: str = "train"
    gpu: int | None = None
    evidence: Evidence = Evidence.TEACHER
    stranger: nn.Module | None = None
    after_epoch: Callable[[int, nn.Module], None] | None = None


class Parcel:
    """A sample on its way through Fabric's wrapper, which refuses frozen dataclasses and leaves unknown objects alone."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample


class DistillationStep(nn.Module):
    """What Fabric wraps: the student inside, the teacher outside of the module tree (and so of every checkpoint).

    Args:
        student: the network that learns.
        objective: its weighted terms.
        teacher: frozen network, or None.
        request: says whose explanations the teacher gives.
        projectors: modules that terms train beside the student.
    """

    def __init__(
        self, student: nn.Module, objective: Objective, teacher: nn.Module | None, request: FitRequest, projectors: nn.ModuleDict
    ) -> None:
        super().__init__()
        self.student = student
        self.projectors = projectors
        self._outside = (objective, teacher, request)

    def forward(self, parcel: Parcel) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and the value of each term."""
        sample = parcel.sample
        objective, teacher, request = self._outside
        anatomy = anatomy_of(self.student)
        layers: tuple[str, ...] = (anatomy.cam_layer,) if objective.needs & {"head", "explainer", "features"} else ()
        layers += anatomy.deep_heads if "deep_heads" in objective.needs else ()
        knowledge: Knowledge | None = LiveKnowledge(teacher, sample.inputs) if teacher is not None else None
        if knowledge is not None and request.evidence is not Evidence.TEACHER:
            knowledge = ControlledKnowledge(knowledge, request.evidence, sample, request.stranger)
        return objective(trace(self.student, sample.inputs, layers=layers), knowledge, sample, dict(self.projectors.items()))


def fit(
    student: nn.Module, objective: Objective, cohort: TrainingCohort, request: FitRequest, *, teacher: nn.Module | None = None
) -> nn.Module:
    """Fit a network and return it in eval mode; a state left by an interrupted run of the same key is continued.

    Order of cases, views and steps are functions of (seed, epoch): the result does not depend on interruptions.

    Raises:
        DataError: ``LOSS_NOT_FINITE`` when the objective becomes NaN or infinite.
    """
    wish, state = request.fit, request.folder / "state.safetensors"
    fabric = Fabric(
        accelerator="auto",
        devices=1 if request.gpu is None else [request.gpu],
        precision="bf16-mixed" if wish.precision == "bf16" else "32-true",
    )
    if request.task.spatial_dims == 2 and (wish.precision == "bf16" or fabric.device.type == "cuda"):
        # Never channels-last in fp32 on CPU: oneDNN corrupts the heap on small strided 1x1 convolutions.
        student = student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with forked_rng(derive_seed("projectors", request.seed)):
        projectors = objective.connect(student, teacher, torch.zeros(1, 1, *request.task.image_size))
    channels_last = request.task.spatial_dims == 2 and wish.precision == "bf16"
    guide = _freeze(teacher, fabric.device, channels_last=channels_last)
    request = replace(request, stranger=_freeze(request.stranger, fabric.device, channels_last=channels_last))
    step = DistillationStep(student.train(), objective, guide, request, projectors)
    optimizer = torch.optim.AdamW(step.parameters(), lr=wish.learning_rate, weight_decay=wish.weight_decay)
    done = load_state(state, step, optimizer, key=request.key)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="lightning_fabric")
        wrapped, wrapped_optimizer = fabric.setup(step, optimizer)
    journal, batches = Journal(request.folder / "metrics.jsonl"), _batches_per_epoch(cohort, wish)
    bar: Any = progress_bar(title=request.title, unit="step", enabled=request.progress, total=wish.epochs * batches, initial=done * batches)
    with bar, forked_rng(request.seed):
        for epoch in range(done, wish.epochs):
            # Seeded anew for every epoch: what dropout draws must not depend on where a run was interrupted.
            torch.manual_seed(derive_seed("dropout", request.seed, epoch))
            begun = time.perf_counter()
            sums: dict[str, float] = {}
            for index, sample in enumerate(epoch_samples(cohort, request, epoch)):
                _set_rate(optimizer, wish, (epoch * batches + index) / (wish.epochs * batches))
                loss, values = wrapped(Parcel(_to(sample, fabric.device)))
                wrapped_optimizer.zero_grad()
                fabric.backward(loss)
                wrapped_optimizer.step()
                for name, value in {"loss": loss.detach(), **values}.items():
                    sums[name] = sums.get(name, 0.0) + float(value)
                bar.update()
            if not math.isfinite(sums["loss"]):
                raise DataError(
                    "LOSS_NOT_FINITE",
                    f"expected a finite loss in epoch {epoch + 1} of {request.title}, got {sums['loss']}: lower the learning rate",
                )
            if request.after_epoch is not None:
                # Before the state: a run that is interrupted between the two repeats the epoch and its call.
                request.after_epoch(epoch + 1, step.student)
            save_state(state, step, optimizer, epoch=epoch + 1, key=request.key)
            journal.write_epoch(
                epoch + 1, {**{name: total / batches for name, total in sums.items()}, "seconds": time.perf_counter() - begun}
            )
    fitted: nn.Module = step.student.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return fitted.cpu().eval()


def _freeze(teacher: nn.Module | None, device: torch.device, *, channels_last: bool) -> nn.Module | None:
    if teacher is None:
        return None
    teacher = teacher.to(device).eval().requires_grad_(False)
    if channels_last:
        teacher = teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return teacher


def _batches_per_epoch(cohort: TrainingCohort, wish: Fit) -> int:
    return max(1, (wish.samples_per_epoch or len(cohort)) // wish.batch_size)


def _set_rate(optimizer: torch.optim.Optimizer, wish: Fit, share: float) -> None:
    """Warm up over the first tenth of training, then decay along a cosine to one percent."""
    warm = min(1.0, (share + 1e-3) / 0.1)
    rate = wish.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
    for group in optimizer.param_groups:
        group["lr"] = rate


def epoch_samples(cohort: TrainingCohort, request: FitRequest, epoch: int) -> Iterator[Sample]:
    """Yield the batches of one epoch: a function of (cohort, seed, epoch). The last, smaller batch is left out."""
    wish = request.fit
    generator = torch.Generator().manual_seed(derive_seed("epoch", request.seed, epoch))
    wanted = max(wish.samples_per_epoch or len(cohort), wish.batch_size)
    rounds = [torch.randperm(len(cohort), generator=generator) for _ in range(math.ceil(wanted / len(cohort)))]
    order = torch.cat(rounds)[:wanted]
    for begin in range(0, len(order) - wish.batch_size + 1, wish.batch_size):
        sample = cohort.draw(order[begin : begin + wish.batch_size], request.task, wish, generator)
        yield draw_view(sample, wish.augment, generator)


def _to(sample: Sample, device: torch.device) -> Sample:
    def move(value: Tensor | None) -> Tensor | None:
        return None if value is None else value.to(device)

    return Sample(
        inputs={name: value.to(device) for name, value in sample.inputs.items()},
        labels=move(sample.labels),
        masks=move(sample.masks),
        valid_mask=move(sample.valid_mask),
        weights=move(sample.weights),
        voxel_weights=move(sample.voxel_weights),
        patients=sample.patients,
        spacing_mm=sample.spacing_mm,
        view=sample.view,
    )
