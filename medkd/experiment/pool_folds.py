"""The folds of a cross-validation pooled: each patient's answer by networks that never saw them, and how folds differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data_contracts import CaseResults, CrossValidation, EnsembleScore, FoldCases, PooledArm, Recipe, Subset
from medkd.evaluation.bootstrap import bootstrap_figure, is_defined
from medkd.evaluation.evaluate import statistics_of
from medkd.registry.recipe_result import RecipeResult

#: Of one fold: values [seeds, rows], labels [rows] and patients [rows] of a quantity.
_Fold = tuple[NDArray[np.float64], NDArray[np.int64], list[str]]


def pool_folds(recipe: Recipe, results: Sequence[RecipeResult], ensemble: EnsembleScore | None = None) -> CrossValidation:
    """Return the scorecard of a cross-validation.

    Args:
        recipe: as it was given.
        results: of each fold, evaluated.
        ensemble: of the teachers, where patients were held out.
    """
    fold = results[0].recipe.data.fold  # type: ignore[union-attr]
    column = None if fold is None else fold.column
    subjects = dict.fromkeys(one.subject.partition("/")[2] for result in results for one in result.case_results)
    return CrossValidation(
        recipe=recipe.name,
        recipe_digest=recipe.digest(),
        folded_by=f"column {column}" if column else "drawn, patients kept together, classes balanced",
        folds=tuple(_members(number, result) for number, result in enumerate(results)),
        arms={
            arm: _pooled(arm, [[one for one in result.case_results if one.subject.partition("/")[2] == arm] for result in results])
            for arm in subjects
        },
        ensemble=ensemble,
    )


def _members(number: int, result: RecipeResult) -> FoldCases:
    units = result.case_results[0].units[Subset.TEST]
    digest = result.case_results[0].cohorts[Subset.TEST]
    return FoldCases(number=number, n=len(set(units.patient_keys)), cases=len(units.case_keys), cohort_digest=digest)


def _pooled(arm: str, folds: Sequence[Sequence[CaseResults]]) -> PooledArm:
    figures, per_fold, spread = {}, {}, {}
    quantities = dict.fromkeys(name for name in folds[0][0].values if name.startswith(f"{Subset.TEST.value}/"))
    for key in quantities:
        quantity = key.partition("/")[2]
        parts = [_values(fold, key) for fold in folds]
        values = np.concatenate([part[0] for part in parts], axis=1)
        labels, patients = np.concatenate([part[1] for part in parts]), [patient for part in parts for patient in part[2]]
        within = [statistics_of(Subset.TEST, quantity, part[0], part[1], single=True) for part in parts]
        for name, statistic in statistics_of(Subset.TEST, quantity, values, labels, single=True).items():
            if not is_defined(statistic, values.shape[1], len(values)):
                continue
            figures[name] = bootstrap_figure(statistic, patients, seeds=len(values), missing=int(np.isnan(values).sum()))
            per_fold[name] = tuple(_mean_over_seeds(own[name], part) for own, part in zip(within, parts, strict=True))
            known = [value for value in per_fold[name] if value is not None]
            spread[name] = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
    return PooledArm(role="teacher" if arm == "teacher" else "student", figures=figures, per_fold=per_fold, spread=spread)


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
    if found.ensemble is not None:
        rows += ["", *_ensemble(found.ensemble)]
    return "\n".join(rows) + "\n"


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
