"""From evaluations to the scoreboard: figures per arm, paired differences, and the verdicts that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts import (
    ArmFigures,
    ArmVariant,
    AttributionSource,
    CohortSet,
    ControlVerdict,
    EpochSelection,
    Estimate,
    Evaluation,
    ExperimentPlan,
    GapSummary,
    GateVerdict,
    PairedDifference,
    Recipe,
    Scoreboard,
    Search,
    Subset,
)
from medkd.evaluation.bootstrap import Statistic, bootstrap_figure, crossed_estimate, holm, mean_of
from medkd.evaluation.evaluate import statistics_of, units_of
from medkd.storage.stage import stage
from medkd.storage.workspace import Workspace

#: Below this distance between ceiling and baseline a share of it says nothing.
LEAST_GAP = 0.02


@dataclass(frozen=True)
class _Measured:
    """Statistics of one arm by figure name, and the patients of each statistic's rows."""

    statistics: Mapping[str, Statistic]
    patients: Mapping[str, Sequence[str]]
    missing: Mapping[str, int]
    seeds: int


@stage
def score_arm(
    workspace: Workspace,
    cohorts: CohortSet,
    name: str,
    own: tuple[tuple[Evaluation, ...], ...],
    others: tuple[tuple[str, tuple[tuple[Evaluation, ...], ...]], ...],
    reference: tuple[tuple[tuple[Evaluation, ...], ...], ...],
    primary: str,
) -> ArmFigures:
    """Return the figures of an arm, its paired differences from others, and its gap closure.

    Args:
        workspace: where the evaluations lie.
        cohorts: the cohorts they were made on.
        name: of the arm.
        own: evaluations of each seed (all that were made of that student).
        others: arms to compare with, by name, in the same order of seeds.
        reference: the student alone and the ceiling (the teacher), for the gap closure; empty for none.
        primary: figure that the gap closure is about.
    """
    own_arm = _measured(workspace, cohorts, own)
    figures = {
        figure: bootstrap_figure(statistic, own_arm.patients[figure], seeds=own_arm.seeds, missing=own_arm.missing[figure])
        for figure, statistic in own_arm.statistics.items()
        if _defined(statistic, own_arm.patients[figure])
    }
    if reference:
        alone, ceiling = (_measured(workspace, cohorts, group) for group in reference)
        closure = _closure(own_arm, alone, ceiling, primary)
        if _defined(closure, own_arm.patients[primary]):
            figures["gap_closure"] = bootstrap_figure(closure, own_arm.patients[primary], seeds=own_arm.seeds)
    first = [evaluations[0] for evaluations in own]
    figures |= {
        "parameters": _spread([float(e.parameters) for e in first]),
        "latency_ms": _spread([e.latency_ms for e in first], unit="ms", middle=median),
        "train_seconds": _spread([e.train_seconds for e in first], unit="s"),
    }
    differences = [c for other, group in others for c in _differences(name, other, own_arm, _measured(workspace, cohorts, group))]
    return ArmFigures(arm=name, figures=figures, differences=tuple(differences))


def _measured(workspace: Workspace, cohorts: CohortSet, group: tuple[tuple[Evaluation, ...], ...]) -> _Measured:
    arrays = [{key: value for e in evaluations for key, value in workspace.store.read_tensors(e.arrays).items()} for evaluations in group]
    statistics: dict[str, Statistic] = {}
    patients: dict[str, Sequence[str]] = {}
    missing: dict[str, int] = {}
    for key in sorted(arrays[0]):
        subset, quantity = key.split("/")
        values = torch.stack([array[key] for array in arrays]).numpy()
        labels, people = units_of(workspace.store, cohorts, subset, quantity, values.shape[1])
        found = dict(statistics_of(subset, quantity, values, labels, single=Subset.DEBIASED not in cohorts.uses))
        if quantity == "probability" and subset == Subset.TEST:
            # Of several classes it is the second one's probability, against all others.
            found["brier"] = mean_of((values - np.where(labels > 1, 0, labels)) ** 2)
        for name, statistic in found.items():
            statistics[name], patients[name], missing[name] = statistic, people, int(np.isnan(values).sum())
    return _Measured(statistics, patients, missing, len(group))


def _defined(statistic: Statistic, patients: Sequence[str]) -> bool:
    return not np.isnan(statistic(np.arange(len(patients)), 0))


def _closure(own_arm: _Measured, alone: _Measured, ceiling: _Measured, primary: str) -> Statistic:
    """Return (arm - alone) / (ceiling - alone); NaN where there is hardly a gap to close."""

    def statistic(rows: NDArray[np.int64], seed: int) -> float:
        low = alone.statistics[primary](rows, seed)
        top = ceiling.statistics[primary](rows, seed % ceiling.seeds)
        return (own_arm.statistics[primary](rows, seed) - low) / (top - low) if top - low > LEAST_GAP else float("nan")

    return statistic


def _differences(a: str, b: str, own_arm: _Measured, other_arm: _Measured) -> list[PairedDifference]:
    found = []
    for name in sorted(set(own_arm.statistics) & set(other_arm.statistics)):
        estimate = crossed_estimate(
            _difference(own_arm.statistics[name], other_arm.statistics[name]), own_arm.patients[name], seeds=own_arm.seeds
        )
        if not np.isnan(estimate.mean):
            values = {"difference": estimate.mean, "low": estimate.low, "high": estimate.high, "p": estimate.p, "p_holm": estimate.p}
            found.append(PairedDifference(a=a, b=b, metric=name, n=estimate.n, seeds=own_arm.seeds, **values))
    return found


def _difference(first: Statistic, second: Statistic) -> Statistic:
    return lambda rows, seed: first(rows, seed) - second(rows, seed)


def _spread(values: Sequence[float], *, unit: str = "", middle: Callable[[Sequence[float]], float] = fmean) -> Estimate:
    return Estimate(mean=float(middle(values)), low=min(values), high=max(values), n=len(values), unit=unit)


def correct(differences: Sequence[PairedDifference]) -> tuple[PairedDifference, ...]:
    """Return contrasts with ``p_holm`` corrected; a family is everything compared with one arm by one figure."""
    families: dict[tuple[str, str], list[int]] = {}
    for index, contrast in enumerate(differences):
        families.setdefault((contrast.b, contrast.metric), []).append(index)
    corrected = list(differences)
    for members in families.values():
        for index, p in zip(members, holm([differences[i].p for i in members]), strict=True):
            corrected[index] = differences[index].model_copy(update={"p_holm": p})
    return tuple(corrected)


def sibling(arm: str, of: ArmVariant, names: Sequence[str]) -> str | None:
    """Return the arm in the setting of ``of``, the arm itself where that setting has none, and None where it is ``of``."""
    placed = str(ArmVariant(arm=arm, setting=of.setting))
    found = placed if placed in names else arm
    return None if found == str(of) or found not in names else found


def compared_with(name: str, names: Sequence[str], baselines: Sequence[str]) -> list[str]:
    """Return the arms that an arm is compared with: the baselines, and its own controls where it has some."""
    own = ArmVariant.parse(name)
    if own.arm == "teacher":
        return []
    found = [sibling(baseline, own, names) for baseline in baselines]
    if own.continuation == "gap":
        found.append(str(own.model_copy(update={"continuation": "longer"})))  # the same further epochs without weights
    if own.control is None and own.continuation is None:
        found += [str(own.model_copy(update={"control": kind})) for kind in AttributionSource]
    return [other for other in dict.fromkeys(found) if other is not None and other in names]


def harmful_arms(differences: Sequence[PairedDifference], primary: str, alone: str) -> tuple[str, ...]:
    """Return the arms whose difference from the student alone has its whole interval below zero, by the primary figure."""
    return tuple(
        dict.fromkeys(
            c.a for c in differences if c.metric == primary and ArmVariant.parse(c.b).at("") == ArmVariant(arm=alone) and c.high < 0
        )
    )


def judge_controls(differences: Sequence[PairedDifference], primary: str, kd: str) -> tuple[ControlVerdict, ...]:
    """Return for each control, in each setting, whether it helps as much as the teacher's own explanations."""
    known = {(c.a, c.b): c for c in differences if c.metric == primary}
    verdicts = []
    for (a, b), difference in known.items():
        variant = ArmVariant.parse(b)
        gain = known.get((b, str(ArmVariant(arm=kd, setting=variant.setting))))
        if variant.control is not None and gain is not None:
            verdicts.append(
                ControlVerdict(arm=a, control=variant.control, difference=difference, gain=gain, helps_as_much=not difference.low > 0)
            )
    return tuple(verdicts)


@dataclass(frozen=True)
class Choices:
    """What was chosen on the way to a scoreboard, and what the gate said of each teacher."""

    searched: dict[str, Search]
    epoch_selections: dict[str, EpochSelection]
    gap: GapSummary | None
    gates: dict[str, GateVerdict]


def compose_board(recipe: Recipe, plan: ExperimentPlan, scored: Sequence[ArmFigures], nulls: set[str], chosen: Choices) -> Scoreboard:
    """Return the scoreboard of scored arms; null repetitions are judged apart, so that they take no part in corrections."""
    arms = [figures for figures in scored if figures.arm not in nulls]
    comparisons = correct([c for figures in arms for c in figures.differences])
    chance = tuple(c for figures in scored if figures.arm in nulls for c in figures.differences if c.metric == plan.primary)
    alone, kd = plan.baselines
    return Scoreboard(
        name=recipe.name,
        description=recipe.description,
        primary=plan.primary,
        baselines=plan.baselines,
        seeds=recipe.seeds,
        epochs=recipe.student.fit.epochs,
        arms={figures.arm: figures.figures for figures in arms},
        comparisons=comparisons,
        harmful=harmful_arms(comparisons, plan.primary, alone),
        searched=chosen.searched,
        epoch_selections=chosen.epoch_selections,
        controls=judge_controls(comparisons, plan.primary, kd),
        nulls=chance,
        null_flags=harmful_arms(chance, plan.primary, alone),
        gates={name or "base": verdict for name, verdict in chosen.gates.items()},
        conditions={name: condition.description for name, condition in plan.conditions.items()},
        gap=chosen.gap,
        pareto=plan.pareto,
    )
