"""Checks of the task: not worse than the champion (or the teacher) by more than a margin, overall and in every subgroup."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data_contracts import CaseUnits, PolicyTheme, PromotionCheck
from medkd.promotion.checks import Check, PromotionSetting, not_applicable, outcome_of, shown
from medkd.promotion.paired import (
    AUC,
    OWN_CLASS,
    PairedCases,
    has_figure,
    incomparable,
    main_test,
    paired_cases,
    paired_figure,
)


def check_task(setting: PromotionSetting) -> Check:
    """Yield, for each figure of the task, whether the version is not inferior, and whether it reaches the floor."""
    rule = setting.policy.task
    yield from compare_figures(setting, "task", rule.figures, setting.margin(rule.margin, rule.teacher_margin), rule.floor)


def compare_figures(
    setting: PromotionSetting, theme: PolicyTheme, figures: tuple[str, ...], margin: float, floor: float | None
) -> Iterator[PromotionCheck]:
    """Yield the checks of some figures, version less reference.

    Args:
        setting: the promotion.
        theme: part of the policy.
        figures: of the policy; those that the version has are compared.
        margin: largest loss that is allowed.
        floor: least lower bound of the figure itself; None asks for none.
    """
    results = setting.subject.results
    known = [] if results is None else [figure for figure in figures if has_figure(results, figure)]
    if results is None or not known:
        what = "the version kept no per-case results" if results is None else "its results have none of them"
        yield setting.not_measured(theme, " or ".join(figures), what)
        return
    other = None if setting.reference is None else setting.reference.results
    reason = setting.absent if setting.reference is None else incomparable(results, other)
    for figure in known:
        cases = paired_cases(figure, results, None if reason else other)
        if reason is None:
            yield non_inferior(setting, theme, figure, figure, cases, margin)
        elif setting.role != "none" or floor is None:
            hint = f", and the policy sets no {theme}.floor" if setting.role == "none" else ""
            yield setting.not_measured(theme, figure, f"{reason}{hint}")
        if floor is not None:
            yield _reaches(setting, theme, figure, cases, floor)


def non_inferior(
    setting: PromotionSetting, theme: PolicyTheme, name: str, figure: str, cases: PairedCases, margin: float
) -> PromotionCheck:
    """Return whether the lower bound of the paired difference is above the negative margin.

    Args:
        setting: the promotion.
        theme: part of the policy.
        name: what a table calls the check.
        figure: what is made of the cases.
        cases: of both versions.
        margin: largest loss that is allowed.
    """
    found = paired_figure(figure, cases)
    if found is None or found.difference is None or found.other is None:
        return setting.not_measured(theme, name, f"{figure} is undefined for both versions on these {len(cases.own)} cases")
    difference = found.difference
    return PromotionCheck(
        theme=theme,
        name=name,
        outcome=outcome_of(difference.low >= -margin),
        value=found.own.mean,
        reference=found.other,
        figure=difference,
        threshold=-margin,
        reason=(
            f"{figure} {found.own.mean:.3f} against the {setting.role}'s {found.other:.3f}: difference {shown(difference, signed=True)} "
            f"over {difference.n} patients, a loss of {margin:g} is allowed"
        ),
    )


def _reaches(setting: PromotionSetting, theme: PolicyTheme, figure: str, cases: PairedCases, floor: float) -> PromotionCheck:
    found = paired_figure(figure, PairedCases(cases.own, None, cases.labels, cases.patients))
    name = f"{figure}, floor"
    if found is None:
        return setting.not_measured(theme, name, f"{figure} is undefined on these {len(cases.own)} cases")
    return PromotionCheck(
        theme=theme,
        name=name,
        outcome=outcome_of(found.own.low >= floor),
        value=found.own.mean,
        figure=found.own,
        threshold=floor,
        reason=f"{figure} {shown(found.own)} over {found.own.n} patients, its lower bound must be {floor:g} at least",
    )


def check_subgroups(setting: PromotionSetting) -> Check:
    """Yield whether the version is not inferior in each value of an attribute, each label and each third of the lesion sizes."""
    rule, results = setting.policy.subgroups, setting.subject.results
    figure = None if results is None else next((one for one in setting.policy.task.figures if has_figure(results, one)), None)
    if results is None or figure is None:
        yield setting.not_measured("subgroups", "subgroups", "the version kept no per-case results of the task")
        return
    if setting.reference is None:
        yield setting.not_measured("subgroups", "subgroups", setting.absent)
        return
    reason = incomparable(results, setting.reference.results)
    if reason is not None:
        yield setting.not_measured("subgroups", "subgroups", reason)
        return
    cases, margin = paired_cases(figure, results, setting.reference.results), setting.margin(rule.margin, rule.teacher_margin)
    # A group of one class has no AUC: what each of its cases is given of its own class stands for it, in all groups alike.
    shown_figure = OWN_CLASS if figure == AUC else figure
    small = []
    for name, rows in subgroups_of(results.units[main_test(results)], len(cases.own)).items():
        chosen = cases.select(rows)
        patients = len(set(chosen.patients))
        if patients < rule.min_patients:
            small.append(f"{name} ({patients})")
        else:
            yield non_inferior(setting, "subgroups", name, shown_figure, chosen, margin)
    if small:
        yield not_applicable(
            "subgroups", "small subgroups", f"groups of fewer than {rule.min_patients} patients are not judged: {', '.join(small)}"
        )


def subgroups_of(units: CaseUnits, rows: int) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each subgroup of the first ``rows`` cases; a column with one value makes none."""
    columns: dict[str, list[str]] = {name: list(values[:rows]) for name, values in units.attributes.items()}
    columns["label"] = ["" if label is None else str(label) for label in units.labels[:rows]]
    columns["lesion size"] = _thirds(units.lesion_voxels[:rows])
    found = {}
    for name, values in columns.items():
        distinct = sorted(set(values))
        for value in distinct if len(distinct) > 1 else ():
            found[f"{name}={value or 'not said'}"] = np.array([row for row, own in enumerate(values) if own == value], dtype=np.int64)
    return found


def _thirds(voxels: tuple[int | None, ...]) -> list[str]:
    """Return which third of the sizes each case's lesion is in; nothing marked, and not known, are groups of their own."""
    marked = [size for size in voxels if size]
    if not marked:
        return ["" if size is None else "none" for size in voxels]
    low, high = np.quantile(marked, [1 / 3, 2 / 3])
    return [
        "" if size is None else "none" if not size else "small" if size <= low else "middle" if size <= high else "large" for size in voxels
    ]
