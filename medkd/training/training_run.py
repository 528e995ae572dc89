"""One training: who teaches, on what, from which first weights; its names, seeds and folders, and the checkpoint that comes of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch
from torch import nn

from data_contracts import AttributionSource, Case, Checkpoint, NetworkSpec, Ref, Task, TrainingDomain, TrainingSpec
from data_contracts.model import run_name
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.knowledge.source import KnowledgeSource, LiveSource
from medkd.knowledge.stored import StoredSource
from medkd.models._build import build_network, parameter_count, specify_network
from medkd.models._inputs import load_shown, picked, picking
from medkd.precision import resolve_precision, training_device
from medkd.seeds import derive_seed
from medkd.storage.gpu_slot import gpu_slot
from medkd.storage.shared_results import leave_metrics
from medkd.storage.stage import entry_sources
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace
from medkd.training.batches import TrainingCohort
from medkd.training.cost_meter import CostMeter
from medkd.training.fit import FitRequest, fit
from medkd.training.objective import Objective
from medkd.training.processes import is_rank
from medkd.training.several_teachers import SeveralTeachers


@dataclass(frozen=True)
class LoadedTeacher:
    """A teacher's network, the specification and digest of it, and its task and what it is shown where that is more than it sees."""

    network: nn.Module
    spec: NetworkSpec
    digest: str
    seen: tuple[Task, Task] | None = None


def load_teacher(workspace: Workspace, objective: Objective, teacher: Checkpoint, shown: Task) -> LoadedTeacher | None:
    """Return the teacher where the objective asks one, as it answers where a task's inputs are shown."""
    if "teacher" not in objective.needs:
        return None
    return LoadedTeacher(load_shown(workspace, teacher, shown), teacher.network, teacher.weights_digest, (teacher.task, shown))


@dataclass(frozen=True)
class TrainingSetup:
    """What a student is trained on and who teaches it: a live teacher, a store (whose answers the cohort then carries), several, or nobody."""

    cohort: TrainingCohort
    teacher: LoadedTeacher | None = None
    stored: StoredSource | None = None
    several: SeveralTeachers | None = None

    @property
    def teacher_digest(self) -> str | None:
        """Return the digest of the teacher's weights, of several the first one's."""
        if self.several is not None:
            return next(iter(self.several.digests), None)
        if self.stored is not None:
            return self.stored.record.teacher_digest
        return None if self.teacher is None else self.teacher.digest

    def source(self, attribution_source: AttributionSource) -> KnowledgeSource | None:
        """Return the teacher as the loop asks it, its explanations its own or a control's."""
        if self.several is not None:
            return self.several.source
        if self.stored is not None or self.teacher is None:
            return self.stored
        random_teacher = _random_teacher(self.teacher) if attribution_source is AttributionSource.RANDOM_TEACHER else None
        return LiveSource(self.teacher.network, attribution_source=attribution_source, random_teacher=random_teacher)


def _random_teacher(teacher: LoadedTeacher) -> nn.Module:
    """Return a network of the teacher's build that has learned nothing."""
    # The word that its weights are drawn from is that of the first version: controls of then can be made again.
    network = build_network(teacher.spec, seed=derive_seed("stranger"))
    return (network if teacher.seen is None else picking(network, *teacher.seen)).eval()


@dataclass(frozen=True)
class InitialNetwork:
    """What a training begins with instead of freshly drawn weights.

    Attributes:
        network: with a layer map.
        spec: that it is built again from.
        finish: what is kept of it when it is trained, in place, and the specification of that; None keeps it as it is.
    """

    network: nn.Module
    spec: NetworkSpec
    finish: Callable[[nn.Module], NetworkSpec] | None = None


def family(name: str) -> str:
    """Return the name of the recipe that a variant's name, ``RECIPE--VARIANT``, was made from: variants begin at the same weights."""
    return name.partition("--")[0]


class TrainingRun:
    """One training run: names, seeds, folders and the checkpoint record follow from what is trained.

    Args:
        workspace: where files go.
        spec: what is trained, and how.
        key: what an interrupted run must share with this one to be gone on with, beside ``spec``.
        suffix: tells several runs of one arm and seed apart.
        feedback: digest of the directives that the run follows, if any; it tells runs apart as ``key`` and ``suffix`` do.
    """

    def __init__(self, workspace: Workspace, spec: TrainingSpec, *, key: str = "", suffix: str = "", feedback: str | None = None) -> None:
        self.workspace, self.spec, self.feedback = workspace, spec, feedback
        self.key = f"{key}{feedback or ''}"
        self.name = f"{spec.recipe}/{run_name(spec.arm, spec.seed, feedback)}{suffix}"
        self.network = specify_network(spec.network, spec.task)

    def begin(self, purpose: str = "") -> nn.Module:
        """Return the network with its first weights: all arms of a seed begin at the same ones and differ in their objective only.

        A network of the same build for another ``purpose``, a peer's, begins at weights of its own.
        """
        drawn_for = (purpose,) if purpose else ()
        network = build_network(self.network, seed=derive_seed(family(self.spec.recipe), self.spec.role.value, self.spec.seed, *drawn_for))
        return picking(network, self.spec.task, self.spec.shown_task)

    def run(
        self,
        setup: TrainingSetup,
        objective: Objective,
        *,
        cohort_digest: str,
        init_network: InitialNetwork | None = None,
        epochs: int | None = None,
        after_epoch: Callable[[int, nn.Module], None] | None = None,
        validate: Callable[[nn.Module], float] | None = None,
    ) -> Checkpoint:
        """Fit, store the weights by their digest, and return the checkpoint; ``init_network`` goes on from a network of before."""
        spec, start = self.spec, init_network or InitialNetwork(self.begin(), self.network)
        config = spec.fit if epochs is None else spec.fit.model_copy(update={"epochs": epochs})
        # Whoever started several processes holds a GPU for each of them.
        with nullcontext(local_gpu()) if is_rank() else gpu_slot() as gpu:
            device = training_device(gpu)
            precision = resolve_precision(config.precision, device)
            meter = CostMeter(device)
            request = FitRequest(
                config.model_copy(update={"precision": precision}),
                spec.shown_task,
                derive_seed(spec.role.value, spec.seed),
                self.workspace.root / "training" / self.name,
                # A state of another precision is another run's: going on with it would end with bits that nobody can make again.
                f"{self._state_key(setup, cohort_digest, config.epochs)}-{precision}",
                self.workspace.progress,
                self.name,
                gpu=gpu,
                balance=spec.objective.balance,
                after_epoch=after_epoch,
                validate=validate,
                cost=meter,
            )
            teacher = setup.source(spec.objective.attribution_source)
            # Trained among all that is shown, kept with its own inputs alone.
            fitted = picked(fit(start.network, objective, setup.cohort, request, teacher=teacher))
            cost = meter.so_far()
        if os.environ.get("RANK", "0") != "0":
            raise SystemExit(0)  # the first process of several says what came of it
        network = start.spec if start.finish is None else start.finish(fitted)
        stored = store_weights(self.workspace, self.name, fitted)
        leave_metrics(self.workspace, stored["weights_digest"], request.folder / "metrics.jsonl")
        # What a store's answers are carried by is a cohort round the cohort.
        cases = getattr(setup.cohort, "cohort", setup.cohort)
        patients = "\n".join(sorted(set(setup.cohort.patients())))
        return Checkpoint(
            role=spec.role,
            arm=spec.arm,
            seed=spec.seed,
            network=network,
            task=spec.task,
            **stored,
            cohort_digest=cohort_digest,
            recipe_digest=training_digest(spec),
            teacher_digest=setup.teacher_digest,
            further_teacher_digests=() if setup.several is None else setup.several.digests[1:],
            parameters=parameter_count(fitted),
            epochs=config.epochs,
            precision=precision,
            train_seconds=cost.wall_seconds,
            largest_extent_mm=cases.largest_extent_mm() if isinstance(cases, VolumeCohort) else None,
            train_patients_digest=hashlib.sha256(patients.encode()).hexdigest(),
            domain=training_domain(cases),
            cost=cost,
            feedback=self.feedback,
            hidden_classes=spec.hidden_classes,
            cases=spec.objective.cases,
        )

    def _state_key(self, setup: TrainingSetup, cohort_digest: str, epochs: int) -> str:
        knowledge_digest = "" if setup.stored is None else setup.stored.record.digest()
        if setup.several is not None:
            knowledge_digest = setup.several.key
        parts = (training_digest(self.spec), self.key, cohort_digest, setup.teacher_digest, knowledge_digest, self.name, epochs)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def store_weights(workspace: Workspace, name: str, network: nn.Module) -> dict[str, Any]:
    """Store a network's weights under their digest and return what a checkpoint says of them: two settings of one recipe do not write over each other's."""
    # safetensors takes contiguous tensors only.
    payload = safetensors.torch.save({key: value.contiguous() for key, value in network.state_dict().items()})
    digest = hashlib.sha256(payload).hexdigest()
    key = f"models/{name}-{digest[:12]}.safetensors"
    write_bytes(workspace.store.root / key, payload)
    return {"weights": Ref(store=workspace.store.name, key=key, sha256=digest), "weights_digest": digest}


def local_gpu() -> int | None:
    """Return the GPU of this one of several processes; None where there is none."""
    return int(os.environ["LOCAL_RANK"]) if torch.cuda.is_available() else None


def training_digest(spec: TrainingSpec) -> str:
    """Return the sha256 of what trainings share that differ in their seed alone, the source of every entry they bind among it."""
    return hashlib.sha256(json.dumps([spec.sibling_key(), entry_sources(spec)], sort_keys=True).encode()).hexdigest()


def training_domain(cohort: TrainingCohort) -> TrainingDomain:
    """Return what kind of volumes a cohort holds, as far as they say it."""
    cases: tuple[Case, ...] = getattr(cohort, "cases", ())
    modalities = {case.modality for case in cases if case.modality is not None}
    units = {case.unit for case in cases if case.unit is not None}
    ranges: dict[str, tuple[float, float, float]] = {}
    if isinstance(cohort, VolumeCohort):
        for name, values in zip(("spacing", "extent"), cohort.spacing_and_extent_mm(), strict=True):
            ranges |= {f"{name}_low_mm": tuple(values.min(0).tolist()), f"{name}_high_mm": tuple(values.max(0).tolist())}
    # Of a cohort that is not known as a whole nothing is claimed.
    known = all(case.modality is not None and case.unit is not None for case in cases)
    return TrainingDomain(modalities=tuple(sorted(modalities)) if known else (), units=tuple(sorted(units)) if known else (), **ranges)
