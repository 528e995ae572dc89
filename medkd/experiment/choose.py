"""Choices are made on validation cases that carry the students' own bias; what an oracle would have chosen is shown, never taken."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from data_contracts import CheckpointSeries, Configuration, CurvePoint, EpochSelection, Option, Recipe, Search, ValidationScores
from medkd.training.objective import Objective

Criterion = Literal["task", "agreement", "response"]


def criterion(recipe: Recipe, arm: str) -> Criterion:
    """Return what an arm is chosen by: as the plan says, but never by agreement with a teacher it does not have."""
    wanted: Criterion = "agreement" if recipe.experiment is None else recipe.experiment.select
    return wanted if "teacher" in Objective(recipe.arms[arm].terms).needs else "task"


def choose_configuration(tried: Sequence[dict[str, Option]], scores: Sequence[Sequence[ValidationScores]], by: Criterion) -> Search:
    """Return the search of one arm; ``scores`` holds those of each configuration under each search seed. Ties go to the first."""
    configurations = tuple(
        Configuration(
            options=options,
            task=fmean(v.task for v in shown),
            agreement=fmean(v.agreement for v in shown),
            response=_mean_or_none([v.response for v in shown]),
            oracle=fmean(v.oracle for v in shown),
            seconds=sum(v.seconds for v in shown),
        )
        for options, shown in zip(tried, scores, strict=True)
    )
    by_name = {name: [getattr(c, name) for c in configurations] for name in {"task", "oracle", by}}
    best = {name: values.index(max(values)) for name, values in by_name.items()}
    return Search(by=by, configurations=configurations, chosen=best[by], by_task=best["task"], oracle=best["oracle"])


def choose_epoch(series: Sequence[CheckpointSeries], by: Criterion) -> EpochSelection:
    """Return an arm's curve over its seeds and the epoch at which the criterion is highest, the earliest where there are several."""
    curve = []
    for index, point in enumerate(series[0].snapshots):
        shown = [of_seed.snapshots[index].scores for of_seed in series]
        means = {name: fmean(getattr(v, name) for v in shown) for name in ("task", "agreement", "oracle")}
        curve.append(CurvePoint(epoch=point.epoch, response=_mean_or_none([v.response for v in shown]), **means))
    chosen = max(curve, key=lambda p: (getattr(p, by), -p.epoch))
    best_by_oracle = max(curve, key=lambda p: (p.oracle, -p.epoch))
    return EpochSelection(by=by, epoch=chosen.epoch, oracle_epoch=best_by_oracle.epoch, curve=tuple(curve))


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def dominated(configurations: Sequence[Configuration]) -> tuple[bool, ...]:
    """Return for each configuration whether another is at least as good in task and agreement and better in one (off the Pareto front)."""
    return tuple(
        any(
            other.task >= one.task and other.agreement >= one.agreement and (other.task > one.task or other.agreement > one.agreement)
            for other in configurations
        )
        for one in configurations
    )
