"""What channels are judged on: batches of training cases as they are, the objective of the tuning, and the network that is imitated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from data_contracts import Checkpoint, CohortSet, LossTerm, TrainingSpec, Tuning
from medkd.compression.tune import imitated, transfer_options
from medkd.knowledge.source import KnowledgeSource, LiveSource
from medkd.seeds import derive_seed
from medkd.storage.workspace import Workspace
from medkd.trace import Sample
from medkd.training.train import student_cohort

#: Batches of training cases, and cases of each (fewer where a training has smaller batches).
BATCHES, CASES = 8, 16
#: Cases that maps are judged on, each on its own, and random signs that the norm of a channel's part in a map is estimated with.
MAP_CASES, PROBES = 32, 4


@dataclass(frozen=True)
class JudgingData:
    """What channels are judged on.

    Attributes:
        samples: batches of training cases.
        terms: objective of the tuning, without the term that keeps attributions.
        source: the network that is distilled from; None where no term and no attribution asks one.
        transfer: options of ``attribution_transfer``: explainer and grid.
        map_cases: of the samples, the first so many, whose maps are judged.
        probes: random signs per case.
    """

    samples: tuple[Sample, ...]
    terms: tuple[LossTerm, ...]
    source: KnowledgeSource | None
    transfer: Mapping[str, Any]
    map_cases: int = MAP_CASES
    probes: int = PROBES

    def on(self, device: torch.device) -> JudgingData:
        """Return the data on a device."""
        samples = tuple(replace(one.mapped(lambda value: value.to(device)), patients=one.patients) for one in self.samples)
        source = None if self.source is None else self.source.prepared(device, channels_last=False)
        return replace(self, samples=samples, source=source)


def open_judging_data(
    workspace: Workspace,
    training: tuple[TrainingSpec, CohortSet],
    origin: Checkpoint,
    teacher: Checkpoint | None,
    tune: Tuning | None,
    *,
    seed: int,
) -> JudgingData:
    """Return batches of a version's training cases, drawn by a seed, and whom its attributions are compared with.

    Without a tuning the objective is that of the version, and the teacher is imitated where there is one, otherwise the version itself.

    Raises:
        KnowledgeError: ``TEACHER_MISSING`` when a tuning wants a teacher that is not there.
    """
    spec, cohorts = training
    own = spec.objective.terms if tune is None else tune.terms
    terms = (*own, LossTerm(loss="attribution_transfer"))
    loaded = imitated(workspace, origin, origin if teacher is None and tune is None else teacher, tune, terms)
    cohort = student_cohort(workspace, spec, cohorts)
    generator = torch.Generator().manual_seed(derive_seed("judging", seed))
    size = min(CASES, (spec.fit if tune is None else tune.fit).batch_size, len(cohort))
    rows = torch.randperm(len(cohort), generator=generator)[: BATCHES * size]
    samples = tuple(cohort.draw(part, spec.task, spec.fit, generator) for part in rows.split(size) if len(part) == size)
    source = None if loaded is None else LiveSource(loaded.network)
    options = transfer_options((*own, *spec.objective.terms))
    # The angle between maps is what is judged, whatever distance a term takes.
    return JudgingData(samples, own, source, {name: options[name] for name in ("explainer", "grid") if name in options})
