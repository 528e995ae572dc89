"""Arms compared case by case: what one gains on one cohort beside what it gives up on another."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts import CohortSet, Comparison, Evaluation, Figure
from medkd.evaluation.bootstrap import Statistic, bootstrap_figure
from medkd.evaluation.evaluate import statistics_of, units_of
from medkd.workspace import Workspace, stage


@stage
def compare_arms(workspace: Workspace, cohorts: CohortSet, arm: tuple[Evaluation, ...], baseline: tuple[Evaluation, ...]) -> Comparison:
    """Return ``arm`` minus ``baseline`` for every figure both have; seeds and patients are resampled together (paired)."""
    mine, theirs = (_stacked(workspace, evaluations) for evaluations in (arm, baseline))
    figures: dict[str, Figure] = {}
    for key in sorted(set(mine) & set(theirs)):
        purpose, quantity = key.split("/")
        labels, patients = units_of(workspace.store, cohorts, purpose, quantity, mine[key].shape[1])
        single = "debiased" not in cohorts.uses
        own = statistics_of(purpose, quantity, mine[key], labels, single=single)
        other = statistics_of(purpose, quantity, theirs[key], labels, single=single)
        for name in own:
            figures[name] = bootstrap_figure(_difference(own[name], other[name]), patients, seeds=len(arm))
    return Comparison(arm=arm[0].arm, baseline=baseline[0].arm, figures=figures)


def _stacked(workspace: Workspace, evaluations: tuple[Evaluation, ...]) -> dict[str, NDArray[np.float64]]:
    arrays = [workspace.store.read_tensors(evaluation.arrays) for evaluation in evaluations]
    return {key: torch.stack([array[key] for array in arrays]).numpy() for key in arrays[0]}


def _difference(first: Statistic, second: Statistic) -> Statistic:
    def statistic(rows: NDArray[np.int64], seed: int) -> float:
        return first(rows, seed) - second(rows, seed)

    return statistic
