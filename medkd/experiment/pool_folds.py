"""The folds of a cross-validation pooled: each patient's answer by networks that never saw them, and how folds differ."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_contracts import (
    CaseResults,
    CrossValidation,
    EnsembleScore,
    Estimate,
    FoldCases,
    PooledArm,
    PooledDifference,
    Recipe,
    Subset,
)
from medkd.evaluation.bootstrap import CROSSED, Statistic, bootstrap_figure, bootstrap_ratio, difference_figure, is_defined
from medkd.evaluation.compare import CLOSED, DISTANCES, LEAST_GAP, RATIOS, difference_of, first_seed
from medkd.evaluation.evaluate import statistics_of
from medkd.registry.recipe_result import RecipeResult
from medkd.training.objective import Objective

_LOG = logging.getLogger("medkd")
#: Of one fold: values [seeds, rows], labels [rows] and patients [rows] of a quantity.
_Fold = tuple[NDArray[np.float64], NDArray[np.int64], list[str]]


@dataclass(frozen=True)
class _Pool:
    """One figure of an arm over all folds: of all rows together, and of each fold (mean over seeds; None where undefined)."""

    statistic: Statistic
    patients: list[str]
    seeds: int
    missing: int
    per_fold: tuple[float | None, ...]


#: The figures of an arm by name.
_Pools = dict[str, _Pool]


def pool_folds(recipe: Recipe, results: Sequence[RecipeResult], ensemble: EnsembleScore | None = None) -> CrossValidation:
    """Return the scorecard of a cross-validation.

    Arms, seeds and figures that one fold lacks are not pooled: what all folds have is.

    Args:
        recipe: as it was given.
        results: of each fold, evaluated.
        ensemble: of the teachers, where patients were held out.
    """
    fold = results[0].recipe.data.fold  # type: ignore[union-attr]
    column = None if fold is None else fold.column
    pools: dict[str, _Pools] = {}
    for arm in dict.fromkeys(_arm_of(one) for result in results for one in result.case_results):
        each = [[one for one in result.case_results if _arm_of(one) == arm] for result in results]
        if all(each):
            pools[arm] = _pooled(each)
        else:
            _LOG.warning("FOLD_LACKS_ARM: %s is not pooled, fold %d has no results of it", arm, [bool(one) for one in each].index(False))
    return CrossValidation(
        recipe=recipe.name,
        recipe_digest=recipe.digest(),
        folded_by=f"column {column}" if column else "drawn, patients kept together, classes balanced",
        folds=tuple(_members(number, result) for number, result in enumerate(results)),
        arms={arm: _arm(arm, own) for arm, own in pools.items()},
        ensemble=ensemble,
        differences=tuple(_differences(recipe, pools)),
    )


def _arm_of(found: CaseResults) -> str:
    return found.subject.partition("/")[2]


def _members(number: int, result: RecipeResult) -> FoldCases:
    units = result.case_results[0].units[Subset.TEST]
    digest = result.case_results[0].cohorts[Subset.TEST]
    return FoldCases(number=number, n=len(set(units.patient_keys)), cases=len(units.case_keys), cohort_digest=digest)


def _arm(arm: str, pools: _Pools) -> PooledArm:
    known = {name: [value for value in pool.per_fold if value is not None] for name, pool in pools.items()}
    return PooledArm(
        role="teacher" if arm == "teacher" else "student",
        figures={name: bootstrap_figure(one.statistic, one.patients, seeds=one.seeds, missing=one.missing) for name, one in pools.items()},
        per_fold={name: pool.per_fold for name, pool in pools.items()},
        spread={name: float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 for name, values in known.items()},
    )


def _pooled(folds: Sequence[Sequence[CaseResults]]) -> _Pools:
    """Return the figures of an arm; of each fold the results of its seeds."""
    pools: _Pools = {}
    seeds = min(map(len, folds))
    folds = [fold[:seeds] for fold in folds]
    shared = frozenset[str].intersection(*(frozenset(one.values) for fold in folds for one in fold))
    for key in (name for name in folds[0][0].values if name in shared and name.startswith(f"{Subset.TEST.value}/")):
        quantity = key.partition("/")[2]
        parts = [_values(fold, key) for fold in folds]
        values = np.concatenate([part[0] for part in parts], axis=1)
        labels, patients = np.concatenate([part[1] for part in parts]), [patient for part in parts for patient in part[2]]
        within = [statistics_of(Subset.TEST, quantity, part[0], part[1], single=True) for part in parts]
        for name, statistic in statistics_of(Subset.TEST, quantity, values, labels, single=True).items():
            if is_defined(statistic, values.shape[1], seeds):
                per_fold = tuple(_mean_over_seeds(own[name], part) for own, part in zip(within, parts, strict=True))
                pools[name] = _Pool(statistic, patients, seeds, int(np.isnan(values).sum()), per_fold)
    return pools


def _differences(recipe: Recipe, pools: Mapping[str, _Pools]) -> Iterator[PooledDifference]:
    """Yield each student arm less the teacher and less the student alone, where a recipe has them."""
    teacher, alone = pools.get("teacher", {}), _alone(recipe)
    for arm in (name for name in recipe.arms if name in pools):
        if teacher:
            yield _paired((arm, pools[arm]), ("teacher", teacher))
        if alone in pools and arm != alone:
            yield _paired((arm, pools[arm]), (alone, pools[alone]), teacher)


def _alone(recipe: Recipe) -> str:
    """Return the arm of the student that no teacher teaches: the one of that name, or else the first without a term that reads one."""
    without = (name for name, arm in recipe.arms.items() if "teacher" not in Objective(arm.terms).needs)
    return "alone" if "alone" in recipe.arms else next(without, "")


def _paired(own: tuple[str, _Pools], other: tuple[str, _Pools], ceiling: _Pools | None = None) -> PooledDifference:
    """Return the paired differences of two arms, and with the teacher as ceiling the share of the gap that is closed."""
    (arm, of_arm), (baseline, of_baseline) = own, other
    figures: dict[str, Estimate] = {}
    shares: dict[str, Estimate | None] = {}
    for name in (name for name in of_arm if name in of_baseline and of_arm[name].patients == of_baseline[name].patients):
        seeds, patients = of_arm[name].seeds, of_arm[name].patients
        # A teacher is one network, whatever the student's seed.
        below = of_baseline[name].statistic if of_baseline[name].seeds >= seeds else first_seed(of_baseline[name].statistic)
        difference = difference_of(of_arm[name].statistic, below)
        if is_defined(difference, len(patients), seeds):
            figures[name] = difference_figure(difference, patients, seeds=seeds)
        if ceiling and name.startswith(CLOSED) and name in ceiling and ceiling[name].patients == patients:
            sign = -1.0 if name.startswith(DISTANCES) else 1.0
            gained = difference_of(of_arm[name].statistic, below, sign)
            gap = difference_of(first_seed(ceiling[name].statistic), below, sign)
            shares[name] = bootstrap_ratio(gained, gap, patients, seeds=seeds, least=LEAST_GAP)
    several = any(pool.seeds > 1 for pool in of_arm.values())
    how = CROSSED if several else "95 % percentile bootstrap of paired differences, 1000 resamples of patients"
    return PooledDifference(
        arm=arm, baseline=baseline, figures=figures, gap_closure=shares, interval=f"{how}; gap closure: {RATIOS}" if shares else how
    )


def _values(fold: Sequence[CaseResults], key: str) -> _Fold:
    """Return a quantity of one fold; of maps the first cases only may have been measured."""
    rows = [[math.nan if value is None else value for value in one.values[key]] for one in fold]
    units, count = fold[0].units[Subset.TEST], len(rows[0])
    labels = np.array([-1 if label is None else label for label in units.labels[:count]])
    return np.array(rows, dtype=np.float64), labels, list(units.patient_keys[:count])


def _mean_over_seeds(statistic: object, part: _Fold) -> float | None:
    everything = np.arange(part[0].shape[1])
    values = [statistic(everything, seed) for seed in range(len(part[0]))]  # type: ignore[operator]
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else None


def cross_validation_markdown(found: CrossValidation) -> str:
    """Return a cross-validation as Markdown: folds, pooled figures with interval and spread, the ensemble."""
    rows = [f"# Cross-validation of {found.recipe}\n", f"{len(found.folds)} folds ({found.folded_by}); pooled: {found.interval}.\n"]
    rows += ["| fold | patients | cases |", "|---|---|---|", *(f"| {one.number} | {one.n} | {one.cases} |" for one in found.folds)]
    rows += ["\n| arm | figure | pooled | per fold | spread |", "|---|---|---|---|---|"]
    for arm, pooled in found.arms.items():
        for name, figure in pooled.figures.items():
            each = ", ".join("undefined" if value is None else f"{value:.3f}" for value in pooled.per_fold[name])
            rows.append(
                f"| {arm} | {name} | {figure.mean:.3f} [{figure.low:.3f}, {figure.high:.3f}] | {each} | {pooled.spread[name]:.3f} |"
            )
    rows += _difference_rows(found.differences)
    if found.ensemble is not None:
        rows += ["", *_ensemble(found.ensemble)]
    return "\n".join(rows) + "\n"


def _difference_rows(differences: Sequence[PooledDifference]) -> list[str]:
    if not differences:
        return []
    rows = ["\n| difference | figure | pooled, paired | share of the gap closed |", "|---|---|---|---|"]
    for one in differences:
        for name, figure in one.figures.items():
            share = one.gap_closure.get(name)
            closed = (
                ""
                if name not in one.gap_closure
                else "no gap"
                if share is None
                else f"{share.mean:.2f} [{share.low:.2f}, {share.high:.2f}]"
            )
            rows.append(f"| {one.arm} - {one.baseline} | {name} | {figure.mean:+.3f} [{figure.low:+.3f}, {figure.high:+.3f}] | {closed} |")
    return [*rows, f"\nIntervals of differences: {'; or '.join(dict.fromkeys(one.interval for one in differences))}."]


def _ensemble(score: EnsembleScore) -> Sequence[str]:
    rows = [
        f"The {len(score.teachers)} teachers together on {score.n} held-out patients (their probabilities averaged):\n",
        "| figure | ensemble | each alone | gain over their mean |",
        "|---|---|---|---|",
    ]
    for name, figure in score.figures.items():
        gain, each = score.gain[name], ", ".join(f"{value:.3f}" for value in score.singles[name])
        rows.append(
            f"| {name} | {figure.mean:.3f} [{figure.low:.3f}, {figure.high:.3f}] | {each} | {gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] |"
        )
    return rows
