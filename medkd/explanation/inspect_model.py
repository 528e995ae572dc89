"""What a network is like where no map says it: its layers beside its teacher's, the input that maximises each class, how little flips its answers."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from data_contracts import Checkpoint, CohortSet, Estimate, ExplainSpec, Inspection, LayerTrait, TaskKind
from medkd.attribution.activation_maximisation import activation_maximisation
from medkd.attribution.adversarial import adversarial
from medkd.attribution.decision_boundary import decision_boundary
from medkd.attribution.layer_trace import LayerTrace, layer_trace
from medkd.evaluation.bootstrap import bootstrap_figure, mean_of
from medkd.explanation.draw_inspection import draw_inspection
from medkd.explanation.explain_cohort import question_of
from medkd.explanation.measures_of_maps import ExplanationQuery, Networks
from medkd.progress import progress_bar
from medkd.storage.stage import stage
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace
from medkd.targets import LesionMargin, Target, class_margin, lesion_margin
from medkd.trace import Trace, forked_rng, trace

#: Cases that layers are followed over.
TRACED = 8
#: Cases whose smallest change is kept and shown.
SHOWN = 3


@stage
def inspect_model(workspace: Workspace, spec: ExplainSpec, cohorts: CohortSet, student: Checkpoint, teacher: Checkpoint) -> Inspection:
    """Inspect a student beside its teacher on the cases that its maps are explained on; both are asked about the teacher's answers."""
    cohort, query, networks = question_of(workspace, spec, cohorts, student, teacher)
    few = min(TRACED, len(cohort))
    traced = layer_trace(_trace(networks.student, query, slice(0, few)), _target(query, slice(0, few)), teacher=networks.teacher)
    values, arrays = flips_of_cases(query, networks, progress=workspace.progress)
    arrays |= {"image": query.images[:SHOWN], **_imagined(spec, query, networks.student)}
    figures = {name: _figure(each, cohort.patients()) for name, each in values.items()}
    key = f"inspections/{spec.name}/{student.arm}-{student.seed}"
    array = workspace.store.write_tensors(f"{key}.safetensors", arrays)
    layers = [LayerTrait(name=n, channels=c, shares=s) for n, c, s in zip(traced.layers, traced.channels, traced.shares, strict=True)]
    write_bytes(workspace.store.root / f"{key}.png", draw_inspection(traced, arrays, spec.task.classes))
    return Inspection(
        subject=f"{spec.name}/{student.arm}-{student.seed}",
        weights_digest=student.weights_digest,
        teacher_digest=teacher.weights_digest,
        cases=len(cohort),
        layers=tuple(layers),
        teacher_layers=traced.teacher_layers,
        similarity=_similarity(traced),
        figures={name: figure for name, figure in figures.items() if figure is not None},
        array=array,
        picture=workspace.store.refer(f"{key}.png"),
    )


def _trace(network: nn.Module, query: ExplanationQuery, rows: slice) -> Trace:
    return trace(network, query.images[rows])


def _target(query: ExplanationQuery, rows: slice) -> Target:
    """Return the target of some cases: the margin of the teacher's class, or of the region that it outlines."""
    if query.task is TaskKind.CLASSIFICATION:
        return class_margin(query.answer[rows])
    return lesion_margin((query.answer[rows] > 0).to(torch.uint8))


def flips_of_cases(query: ExplanationQuery, networks: Networks, *, progress: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return how far each case is from another answer, by figure [n], and arrays of the first cases. Cases are taken one by one."""
    named: dict[str, nn.Module] = {"student": networks.student, "teacher": networks.teacher}
    found: dict[str, list[float]] = {}
    arrays: dict[str, list[Tensor]] = {}
    per_voxel = math.sqrt(query.images[0].numel())
    for row in progress_bar(range(len(query.images)), title="inspect", unit="case", enabled=progress):
        rows = slice(row, row + 1)
        for role, network in named.items():
            seen, target = _trace(network, query, rows), _target(query, rows)
            least = adversarial(seen, target)
            with forked_rng(row):
                boundary = decision_boundary(seen, target, points=3 if row else 15)
            # A score of 0 is no answer (a segmentation that found nothing): there is nothing to flip, and 0 is not how far away that is.
            answered, flips = float(least.before[0]) != 0, bool(least.flipped[0])
            found.setdefault(f"{role}/minimal_perturbation_rms", []).append(
                float(least.distance[0]) / per_voxel if answered and flips else math.nan
            )
            found.setdefault(f"{role}/flipped", []).append(float(flips) if answered else math.nan)
            found.setdefault(f"{role}/boundary_rms", []).append(float(boundary.distance[0]) / per_voxel if answered else math.nan)
            if row < SHOWN:
                arrays.setdefault(f"change/{role}", []).append(least.change.cpu())
            if row == 0:
                arrays[f"plane/{role}"], arrays[f"offsets/{role}"] = [boundary.scores.float()], [boundary.offsets.float()]
    values = {name: torch.tensor(each, dtype=torch.double) for name, each in found.items()}
    for name in ("minimal_perturbation_rms", "boundary_rms"):
        values[f"difference/{name}"] = values[f"student/{name}"] - values[f"teacher/{name}"]
    return values, {name: torch.cat(each) for name, each in arrays.items()}


def _imagined(spec: ExplainSpec, query: ExplanationQuery, network: nn.Module) -> dict[str, Tensor]:
    """Return the image that each class scores highest, by ``feature_visualisation/CLASS``; of a segmentation the first case's region in each class."""
    classes = spec.task.classes
    first = slice(0, 1)
    if query.task is TaskKind.CLASSIFICATION:
        targets: dict[str, Target] = {name: class_margin(index) for index, name in enumerate(classes)}
    else:
        region = (query.answer[first] > 0).to(torch.uint8)
        targets = {name: LesionMargin(region, index) for index, name in enumerate(classes) if index}
    seen = _trace(network, query, first)
    return {f"feature_visualisation/{name}": activation_maximisation(seen, target).image.cpu() for name, target in targets.items()}


def _similarity(traced: LayerTrace) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(None if math.isnan(value) else value for value in row) for row in traced.similarity.tolist())


def _figure(values: Tensor, patients: list[str]) -> Estimate | None:
    array = values.numpy()[None]
    if np.isnan(array).all():
        return None
    return bootstrap_figure(mean_of(array), patients, missing=int(np.isnan(array).sum()))
