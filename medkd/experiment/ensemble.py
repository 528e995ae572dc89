"""The teachers of several folds asked together: the mean of their probabilities, taken in log space, on patients that none of them saw."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data_contracts import Checkpoint, CohortSet, EnsembleScore, LeakageError, Subset, Task, TaskKind, require_kind
from medkd.cohorts.open_cohort import open_pictures, open_volume_use
from medkd.cohorts.tensor_cohort import patients_of
from medkd.evaluation.bootstrap import Statistic, auc_of, bootstrap_figure, mean_of
from medkd.evaluation.evaluate_volumes import score_answer
from medkd.inference.predict import predict_logits
from medkd.inference.predict_cohort import leave_out_synthetic, volume_logits
from medkd.models._load import load_network
from medkd.storage.stage import stage
from medkd.storage.workspace import Workspace


def mean_log_probability(logits: Sequence[Tensor]) -> Tensor:
    """Return the log of the mean of several networks' probabilities; logits of each are [batch, classes, *space]."""
    return torch.logsumexp(torch.stack([one.float().log_softmax(1) for one in logits]), dim=0) - math.log(len(logits))


@stage
def score_ensemble(
    workspace: Workspace, held_out: CohortSet, folds: tuple[CohortSet, ...], teachers: tuple[Checkpoint, ...]
) -> EnsembleScore:
    """Return what the teachers answer together about the held-out test, and each alone.

    Args:
        workspace: where cohorts and weights lie.
        held_out: whose test is asked about.
        folds: that the teachers were trained on.
        teachers: one per fold.

    Raises:
        LeakageError: ``ENSEMBLE_SAW_TEST`` when a held-out patient was in a fold.
    """
    require_kind(teachers[0].task, "an ensemble of folds")
    store = workspace.store
    tested = patients_of(held_out, [Subset.TEST], store)
    seen = {patient for fold in folds for patient in patients_of(fold, list(fold.uses), store)}
    if tested & seen:
        raise LeakageError("ENSEMBLE_SAW_TEST", f"expected held-out patients in no fold, {len(tested & seen)} of {len(tested)} are in one")
    task, networks = teachers[0].task, [load_network(workspace, one) for one in teachers]
    patients, together, alone = _statistics(networks, held_out, workspace, task)
    everything = np.arange(len(patients))
    return EnsembleScore(
        teachers=tuple(one.weights_digest for one in teachers),
        cases=len(patients),
        n=len(set(patients)),
        figures={name: bootstrap_figure(statistic, patients) for name, statistic in together.items()},
        singles={name: tuple(one[name](everything, 0) for one in alone) for name in together},
        gain={name: bootstrap_figure(_gain(statistic, [one[name] for one in alone]), patients) for name, statistic in together.items()},
    )


def _gain(together: Statistic, alone: Sequence[Statistic]) -> Statistic:
    return lambda rows, seed: together(rows, seed) - float(np.mean([one(rows, seed) for one in alone]))


Named = dict[str, Statistic]


def _statistics(
    networks: Sequence[nn.Module], held_out: CohortSet, workspace: Workspace, task: Task
) -> tuple[list[str], Named, list[Named]]:
    """Return patients, and the statistics of the ensemble and of each network."""
    if task.kind is TaskKind.SEGMENTATION and task.spatial_dims == 3:
        return _volumes(networks, held_out, workspace, task)
    cohort = open_pictures(held_out, Subset.TEST, workspace.store, task)
    logits = [predict_logits(network, cohort.images, flips=task.test_time_flips) for network in networks]
    mean = mean_log_probability(logits)
    if task.kind is TaskKind.CLASSIFICATION:
        found = [_auc(one.softmax(1).double().numpy(), cohort.labels.numpy()) for one in (mean, *logits)]
    else:
        found = [
            {
                "dice": mean_of(
                    np.array(
                        [
                            [
                                float(score_answer(one[row].argmax(0), cohort.masks[row], task, spacing_mm=None)["dice"])
                                for row in range(len(cohort))
                            ]
                        ]
                    )
                )
            }
            for one in (mean, *logits)
        ]
    return cohort.patients(), found[0], found[1:]


def _auc(probability: NDArray[np.float64], labels: NDArray[np.int64]) -> Named:
    """Return the AUC of the second of two classes, or the mean of each class against the others."""
    chosen = [1] if probability.shape[1] == 2 else sorted(set(labels.tolist()))
    parts = [auc_of(probability[None, :, index], (labels == index).astype(np.int64)) for index in chosen]
    return {"auc": lambda rows, seed: float(np.mean([part(rows, seed) for part in parts]))}


def _volumes(networks: Sequence[nn.Module], held_out: CohortSet, workspace: Workspace, task: Task) -> tuple[list[str], Named, list[Named]]:
    volumes = open_volume_use(held_out, Subset.TEST, workspace.store, task)
    values: list[list[float]] = []
    for row in range(len(volumes)):
        logits = [volume_logits(network, volumes, row, task)[None] for network in networks]
        answers = [leave_out_synthetic(volumes, row, one[0].argmax(0)) for one in (mean_log_probability(logits), *logits)]
        reference = leave_out_synthetic(volumes, row, volumes.references[row])
        values.append([float(score_answer(answer, reference, task, spacing_mm=None)["dice"]) for answer in answers])
    columns = [{"dice": mean_of(np.array(column)[None])} for column in zip(*values, strict=True)]
    return volumes.patients(), columns[0], list(columns[1:])
