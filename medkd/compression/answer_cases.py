"""What a form answers about the test cases, kept case by case: figures and paired intervals are made of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_contracts import CohortSet, FormAnswers, MadeForm, Part, Subset, Task, TaskKind
from medkd.cohorts.open_cohort import open_for_maps, open_pictures, open_volume_use
from medkd.cohorts.tensor_cohort import TensorCohort, read_cohort
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.compression.made_forms import open_made
from medkd.evaluation.evaluate import map_subset
from medkd.inference.predict_cohort import leave_out_synthetic
from medkd.measures.dice import dice
from medkd.measures.expected_calibration_error import gaps_of_confidence
from medkd.serving.runtime_network import RuntimeNetwork
from medkd.storage.stage import stage
from medkd.storage.store import Store
from medkd.storage.workspace import Workspace

Arrays = dict[str, Tensor]
#: Confidence bins of the calibration error, and cases whose maps are kept: intervals hardly change beyond, and each map takes memory.
BINS, MAP_CASES = 15, 100


@stage
def answer_form(workspace: Workspace, form: MadeForm, cohorts: CohortSet, cases: int | None) -> FormAnswers:
    """Ask a form about every test case: Dice or the probability of the second class, confidence, class maps.

    Volumes are scored on the voxels they were imported with. The calibration error of a segmentation is that of the voxels that are marked, by
    the reference or by the form: in the background everything is sure and right.

    Args:
        workspace: where form and cases lie.
        form: that was made.
        cohorts: of the recipe.
        cases: most test cases; None takes all.
    """
    task = form.checkpoint.task
    network = open_made(workspace, form)
    rows = torch.arange(_tested(cohorts, workspace.store) if cases is None else min(cases, _tested(cohorts, workspace.store)))
    if task.kind is TaskKind.CLASSIFICATION:
        pictures = open_pictures(cohorts, map_subset(cohorts), workspace.store, task).select(rows)
        arrays, patients, labels = _classified(network, pictures), pictures.patients(), tuple(pictures.labels.tolist())
    elif task.spatial_dims == 3:
        volumes = open_volume_use(cohorts, Subset.TEST, workspace.store, task).select(rows)
        arrays, patients, labels = _stacked(_volumes(network, volumes)), volumes.patients(), ()
    else:
        pictures = open_pictures(cohorts, Subset.TEST, workspace.store, task).select(rows)
        arrays, patients, labels = _stacked(_pictures(network, pictures)), pictures.patients(), ()
    place = f"compression/{form.name}-{form.seed}-{form.digest()[:12]}"
    maps = _maps(network, map_cohort(cohorts, workspace.store, task, rows)) if network.has_map else None
    return FormAnswers(
        name=form.name,
        seed=form.seed,
        figure="auc" if task.kind is TaskKind.CLASSIFICATION else "dice",
        patients=tuple(patients),
        labels=labels,
        arrays=workspace.store.write_tensors(f"{place}.safetensors", arrays),
        maps=None if maps is None else workspace.store.write_tensors(f"{place}-maps.safetensors", maps),
    )


def map_cohort(cohorts: CohortSet, store: Store, task: Task, rows: Tensor) -> TensorCohort:
    """Return the test cases whose maps are compared, the first of some rows: of volumes that are segmented, the patch round the label."""
    subset = Subset.TEST if task.kind is TaskKind.SEGMENTATION else map_subset(cohorts)
    return open_for_maps(cohorts, subset, store, task).select(rows[:MAP_CASES])


def _tested(cohorts: CohortSet, store: Store) -> int:
    use = cohorts.uses[map_subset(cohorts)]
    return len(read_cohort(use.cohort, store).part(Part(use.part)))


def _classified(network: RuntimeNetwork, cohort: TensorCohort) -> Arrays:
    probabilities = torch.from_numpy(network.predict(cohort.images.numpy())[0]).double().softmax(1)
    confidence, answers = probabilities.max(1)
    place, gap = gaps_of_confidence(confidence, answers == cohort.labels, BINS)
    gaps = torch.zeros(len(cohort), BINS, dtype=torch.double)
    gaps[torch.arange(len(cohort)), place] = gap
    return {"task": probabilities[:, 1], "gaps": gaps, "counts": torch.ones(len(cohort), dtype=torch.double)}


def _pictures(network: RuntimeNetwork, cohort: TensorCohort) -> Iterator[Arrays]:
    logits = network.predict(cohort.images.numpy())[0]
    for own, mask in zip(logits, cohort.masks, strict=True):
        yield _segmented(own, mask, own.argmax(0), len(own))


def _volumes(network: RuntimeNetwork, cohort: VolumeCohort) -> Iterator[Arrays]:
    for row in range(len(cohort)):
        logits = cohort.alignments[row].array_to_source(network.predict_volume(cohort.images[row].numpy())[0])
        answer = leave_out_synthetic(cohort, row, torch.from_numpy(logits.argmax(0)))
        yield _segmented(logits, leave_out_synthetic(cohort, row, cohort.references[row]), answer.numpy(), len(logits))


def _segmented(logits: NDArray[np.float32], label: Tensor, answer: NDArray[np.int64], classes: int) -> Arrays:
    """Return Dice (mean over the foreground classes that are defined) and calibration of one case."""
    found = torch.from_numpy(np.ascontiguousarray(answer))
    scores = torch.stack([dice((found == index)[None], (label == index)[None])[0].double() for index in range(1, classes)])
    marked = ((found > 0) | (label > 0)).flatten()
    confidence, chosen = torch.from_numpy(logits).flatten(1)[:, marked].double().softmax(0).max(0)
    place, gap = gaps_of_confidence(confidence, chosen == label.flatten()[marked], BINS)
    gaps = torch.zeros(BINS, dtype=torch.double).index_add_(0, place, gap)
    return {"task": scores.nanmean(), "gaps": gaps, "counts": marked.sum().double()}


def _stacked(rows: Iterator[Arrays]) -> Arrays:
    found = list(rows)
    return {name: torch.stack([row[name] for row in found]) for name in found[0]}


def _maps(network: RuntimeNetwork, cohort: TensorCohort) -> Arrays:
    logits, maps = network.ask(cohort.images.numpy())
    answers = torch.from_numpy(logits.argmax(1)).to(torch.uint8)
    if answers.ndim == 1:
        return {"maps": torch.from_numpy(maps), "answers": answers}
    # Of a patch that is larger than its volume: the rest is no image, and what is marked there is nobody's lesion.
    return {"maps": cohort.inside(torch.from_numpy(maps)), "answers": cohort.inside(answers)}
