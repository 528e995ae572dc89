"""Arms compared case by case: what one gains on one cohort beside what it gives up on another."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts import CohortSet, Comparison, Estimate, Evaluation, Subset
from medkd.evaluation.bootstrap import CROSSED, Statistic, bootstrap_ratio, difference_figure, is_defined
from medkd.evaluation.evaluate import statistics_of, units_of
from medkd.storage.stage import stage
from medkd.storage.workspace import Workspace

#: Figures whose gap to the teacher is said to be closed by a share, those of them in which less is better, and the least gap that counts.
CLOSED = ("auc", "dice", "surface_dice", "hausdorff_95", "cpm", "ap_10")
DISTANCES = ("hausdorff_95",)
LEAST_GAP = 0.005
#: How the interval of a share of the gap is made.
RATIOS = "percentiles of 1000 resamples, seeds then patients"


@stage
def compare_arms(
    workspace: Workspace,
    cohorts: CohortSet,
    arm: tuple[Evaluation, ...],
    baseline: tuple[Evaluation, ...],
    teacher: tuple[Evaluation, ...] = (),
) -> Comparison:
    """Return ``arm`` minus ``baseline`` for every figure both have, on the same patients and seeds (paired).

    Over several seeds the interval is that of seeds and patients crossed: percentiles over few seeds are too narrow, and a gain or a harm would be
    said too often. The share of the gap, a ratio of means, keeps the percentiles of two-level resamples.

    With the teacher's evaluations, ``gap_closure_FIGURE`` is the share of the way from baseline to teacher that the arm goes (mean
    difference over mean gap); figures in which the teacher is hardly better than the baseline have none.
    """
    arm_arrays, baseline_arrays = (_stacked(workspace, evaluations) for evaluations in (arm, baseline))
    above = _stacked(workspace, teacher) if teacher else {}
    figures: dict[str, Estimate] = {}
    for key in sorted(set(arm_arrays) & set(baseline_arrays)):
        subset, quantity = key.split("/")
        labels, patients = units_of(workspace.store, cohorts, subset, quantity, arm_arrays[key].shape[1])
        # With one test cohort its AUC is called so; with several it is named after the bias of each.
        single = Subset.DEBIASED not in cohorts.uses
        arm_statistics = statistics_of(subset, quantity, arm_arrays[key], labels, single=single)
        baseline_statistics = statistics_of(subset, quantity, baseline_arrays[key], labels, single=single)
        for name in arm_statistics:
            difference = difference_of(arm_statistics[name], baseline_statistics[name])
            if is_defined(difference, len(patients), len(arm)):
                figures[name] = difference_figure(difference, patients, seeds=len(arm))
        ceiling = statistics_of(subset, quantity, above[key], labels, single=single) if key in above else {}
        for name in sorted(set(ceiling) & set(arm_statistics)):
            if name.startswith(CLOSED):
                # Of a distance less is better: turned round, a gap is positive where the teacher is better.
                sign = -1.0 if name.startswith(DISTANCES) else 1.0
                gained, gap = (
                    difference_of(arm_statistics[name], baseline_statistics[name], sign),
                    difference_of(first_seed(ceiling[name]), baseline_statistics[name], sign),
                )
                closure = bootstrap_ratio(gained, gap, patients, seeds=len(arm), least=LEAST_GAP)
                if closure is not None:
                    figures[f"gap_closure_{name}"] = closure
    made = {"interval": f"{CROSSED}; gap closure: {RATIOS}"} if len(arm) > 1 else {}
    return Comparison(arm=arm[0].arm, baseline=baseline[0].arm, figures=figures, **made)


def _stacked(workspace: Workspace, evaluations: tuple[Evaluation, ...]) -> dict[str, NDArray[np.float64]]:
    arrays = [workspace.store.read_tensors(evaluation.arrays) for evaluation in evaluations]
    return {key: torch.stack([array[key] for array in arrays]).numpy() for key in arrays[0]}


def first_seed(statistic: Statistic) -> Statistic:
    """Return a statistic of the one network that a teacher is, whatever the student's seed."""
    return lambda rows, _seed: statistic(rows, 0)


def difference_of(first: Statistic, second: Statistic, sign: float = 1.0) -> Statistic:
    """Return the statistic that is the first less the second on the same rows and seed, times ``sign``."""

    def statistic(rows: NDArray[np.int64], seed: int) -> float:
        return sign * (first(rows, seed) - second(rows, seed))

    return statistic
