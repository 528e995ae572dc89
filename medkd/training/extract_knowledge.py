"""The stage that asks a teacher once and for all, and what a recipe's arms will read of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from data_contracts import (
    Arm,
    Checkpoint,
    CohortSet,
    ExtractionConfig,
    ExtractionSpec,
    KnowledgeRef,
    MapSpec,
    Ref,
    Subset,
    TaskKind,
    require_kind,
)
from medkd.catalogue import LOSSES
from medkd.cohorts.open_cohort import open_for_training
from medkd.cohorts.tensor_cohort import patients_of
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.knowledge.codec import LogitCodec
from medkd.knowledge.extract import Cases, Extraction, ExtractionQuery, divergence, map_key, sample_digests
from medkd.knowledge.shards import ShardReader
from medkd.knowledge.source import LiveSource
from medkd.models._build import build_network, specify_network
from medkd.models._inputs import load_shown, picking
from medkd.progress import progress_bar
from medkd.storage.gpu_slot import gpu_slot
from medkd.storage.stage import stage
from medkd.storage.workspace import Workspace
from medkd.training.requirements import requirements_of

#: Cases on which replayed logits are compared with live ones when knowledge is extracted.
COMPARED = 8


def completed_config(spec: ExtractionSpec, teacher: nn.Module) -> ExtractionConfig:
    """Return the recipe's query with what its arms will ask for."""
    features, maps = dict(spec.config.features), {map_key(config): config for config in spec.config.maps}
    own = spec.student_task or spec.task
    student = picking(build_network(specify_network(spec.student, own)), own, spec.task)
    for arm in spec.readers:
        needed = requirements_of(_without_layers(arm) if spec.is_further else arm, spec.task, student, LiveSource(teacher))
        for layer, cells in needed.layers.items():
            features[layer] = max(features.get(layer, 0), cells)
        for explainer, cells in needed.maps.items():
            known = maps.get(explainer)
            maps[explainer] = MapSpec(explainer=explainer, grid=max(cells, known.grid if known else 0))
    return spec.config.model_copy(update={"features": features, "maps": tuple(maps[key] for key in sorted(maps))})


def _without_layers(arm: Arm) -> Arm:
    """Return an arm as one of its further teachers is asked: layers are the first one's alone."""
    kept = tuple(term for term in arm.terms if "features" not in LOSSES.entry(term.loss).fact("NEEDS", frozenset()))
    return arm.model_copy(update={"terms": kept})


def subsets_of(spec: ExtractionSpec, cohorts: CohortSet) -> list[str]:
    """Return the subsets whose cases students learn from, whatever their seed."""
    kinds = [Subset.STUDENT_TRAIN if one == "real" else Subset(one) for one in spec.cases]
    wanted = tuple(f"{kind.value}/" for kind in (*kinds, *((Subset.UNLABELLED,) if spec.unlabelled else ())))
    return sorted(subset for subset in cohorts.uses if subset.startswith(wanted))


@stage
def extract_knowledge(workspace: Workspace, spec: ExtractionSpec, cohorts: CohortSet, teacher: Checkpoint) -> KnowledgeRef:
    """Ask a teacher about every case that students learn from, and store its answers.

    Shards that an interrupted run finished are kept. The same image is asked about once, whatever subset it is in.

    Args:
        workspace: where files go.
        spec: ``recipe.extraction()``.
        cohorts: prepared cohorts.
        teacher: whose knowledge it is.
    """
    require_kind(teacher.task, "a store of knowledge")
    with gpu_slot() as gpu:
        return _extract(workspace, spec, cohorts, teacher, torch.device("cpu" if gpu is None else f"cuda:{gpu}"))


def _extract(workspace: Workspace, spec: ExtractionSpec, cohorts: CohortSet, teacher: Checkpoint, device: torch.device) -> KnowledgeRef:
    network = load_shown(workspace, teacher, spec.task)
    # What it is shown is what students are trained among; of a registered teacher all else is its own.
    task = teacher.task.model_copy(update={"channels": spec.task.channels, "clinical": spec.task.clinical})
    config = completed_config(spec, network)
    query = ExtractionQuery(teacher.weights_digest, task, config, spec.views)
    extraction = Extraction(network, query, device)
    folder = f"knowledge/{spec.recipe}-{query.digest()[:16]}"
    shards: list[Ref] = []
    seen: set[str] = set()
    total, raw = 0, 0
    measured: dict[str, float] = {}
    bar: Any
    for subset in subsets_of(spec, cohorts):
        cohort = open_for_training(cohorts, subset, workspace.store, spec.task)
        digests = sample_digests(cohort)
        # An image that several subsets share is asked about once, under the first of them.
        fresh = [row for row, digest in enumerate(digests) if digest not in seen]
        some, own = cohort.select(torch.tensor(fresh, dtype=torch.int64)), [digests[row] for row in fresh]
        seen.update(own)
        with progress_bar(title=f"{spec.recipe} knowledge", unit="shard", enabled=workspace.progress, total=None) as bar:
            for ref, keys in extraction.write(some, own, workspace.store, folder, label=subset.replace("/", "-")):
                shards.append(ref)
                total += len(keys)
                bar.update()
        raw += _raw_bytes(some, own, query)
        if not measured and fresh:
            measured = compare(extraction, some, own, ShardReader(workspace.store, shards, query_digest=query.digest()))
    sizes = [workspace.store.path(ref).stat().st_size for ref in shards]
    return KnowledgeRef(
        teacher_digest=teacher.weights_digest,
        task=task,
        config=config,
        views=query.views,
        cohorts=tuple(sorted({cohorts.uses[subset].cohort.sha256 for subset in subsets_of(spec, cohorts)})),
        patients=tuple(sorted(patients_of(cohorts, [Subset.TEACHER_TRAIN], workspace.store))),
        cases=len(seen),
        entries=total,
        layers=extraction.shapes(),
        maps=tuple(map_key(one) for one in config.maps),
        head_bias=extraction.head_bias(),
        payload_bytes=_logit_bytes(workspace, shards, query),
        raw_bytes=raw,
        bytes=sum(sizes),
        measured=measured,
        shards=tuple(shards),
    )


def _raw_bytes(cohort: Cases, digests: Sequence[str], query: ExtractionQuery) -> int:
    """Return the bytes of the logits of all entries as float32."""
    classes, views = len(query.task.classes), max(1, query.config.views)
    if query.task.kind is TaskKind.CLASSIFICATION:
        return 4 * classes * views * len(set(digests))
    if isinstance(cohort, VolumeCohort) and query.views is None:
        images = dict(zip(digests, cohort.images, strict=True))
        return sum(4 * classes * image.numel() for image in images.values())
    return 4 * classes * views * len(set(digests)) * int(torch.tensor(query.task.image_size).prod())


def _logit_bytes(workspace: Workspace, shards: Sequence[Ref], query: ExtractionQuery) -> int:
    reader = ShardReader(workspace.store, shards, query_digest=query.digest())
    return sum(len(reader.read(key, "logits")) for key in reader)


def compare(extraction: Extraction, cohort: Cases, digests: Sequence[str], reader: ShardReader) -> dict[str, float]:
    """Return how far replayed logits are from live ones on the first cases: mean KL per voxel, share of equal answers."""
    if not extraction.is_segmentation or extraction.query.views is not None:
        return {}
    codec, figures = LogitCodec.of(extraction.query.config), []
    for row, digest in list(enumerate(digests))[:COMPARED]:
        image = cohort.images[row]
        live = extraction.ask_volume(image)["logits"] if isinstance(cohort, VolumeCohort) else extraction.ask(image[None])["logits"][0]
        figures.append(divergence(live, codec.decode(reader.read(extraction.query.key(digest, None), "logits"))))
    kl, agreement = (sum(values) / len(values) for values in zip(*figures, strict=True))
    return {"kl": kl, "argmax_agreement": agreement}
