"""The Pareto table: every form beside the version that it was made of, with what refuses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from data_contracts import (
    CohortSet,
    CompressionRecipe,
    CompressionReport,
    FormAnswers,
    FormFigures,
    FormRefusal,
    Lineage,
    MadeForm,
)
from medkd.compression.answer_cases import map_cohort
from medkd.compression.bounds import VERSION, refusals_of, with_front
from medkd.compression.form_figures import AnsweredForm, answered, map_figures, masks_of, task_figures
from medkd.compression.made_forms import form_bytes
from medkd.compression.time_forms import FormCost
from medkd.storage.workspace import Workspace


@dataclass(frozen=True)
class MeasuredForms:
    """Everything that was measured of a recipe's forms.

    Attributes:
        made: forms by name, one a seed.
        answers: of each that could be made, in the order of ``made``.
        costs: by name, of its first seed.
        processor: on which costs were measured.
        failed: candidates that could not be made at all, with the reason.
    """

    made: Mapping[str, tuple[MadeForm, ...]]
    answers: Mapping[str, tuple[FormAnswers, ...]]
    costs: Mapping[str, FormCost]
    processor: str
    failed: Mapping[str, FormRefusal] = field(default_factory=dict)


def compare_forms(
    workspace: Workspace, recipe: CompressionRecipe, source: Lineage, cohorts: CohortSet, measured: MeasuredForms
) -> CompressionReport:
    """Return the table of a recipe's forms, the version itself first.

    Args:
        workspace: where answers lie.
        recipe: with the bounds.
        source: the version that was compressed.
        cohorts: of the recipe of its data.
        measured: what was measured.
    """
    forms = {name: answered(workspace.store, answers) for name, answers in measured.answers.items()}
    version = forms[VERSION]
    masks = _masks(workspace, cohorts, measured)
    rows = []
    for name, form in forms.items():
        figures = _figures(workspace, measured, form, version, masks)
        refusals = () if name == VERSION else refusals_of(figures, recipe.bounds)
        rows.append(figures.model_copy(update={"refusals": refusals}))
    return CompressionReport(
        name=recipe.name,
        source=source,
        task_figure=version.answers[0].figure,
        processor=measured.processor,
        forms=with_front(rows),
        failed={**measured.failed} | {name: why for name, made in measured.made.items() if (why := _refusal(made)) is not None},
    )


def _refusal(made: Sequence[MadeForm]) -> FormRefusal | None:
    """Return why the forms of a candidate could not be made; one seed that could not is enough."""
    return next((form.refusal for form in made if form.refusal is not None), None)


def _masks(workspace: Workspace, cohorts: CohortSet, measured: MeasuredForms) -> Tensor | None:
    (version,) = measured.made[VERSION]
    (answers,) = measured.answers[VERSION]
    if answers.maps is None:
        return None
    cohort = map_cohort(cohorts, workspace.store, version.checkpoint.task, torch.arange(len(answers.patients)))
    return masks_of(cohort.masks, cohort.has_mask)


def _figures(workspace: Workspace, measured: MeasuredForms, form: AnsweredForm, version: AnsweredForm, masks: Tensor | None) -> FormFigures:
    first = measured.made[form.answers[0].name][0]
    cost, own = measured.costs.get(first.name), first.name == VERSION
    found = task_figures(form, version) | ({} if own else map_figures(workspace.store, form, version, masks))
    return FormFigures(
        name=first.name,
        parameters=first.checkpoint.parameters,
        bytes=form_bytes(workspace, first),
        runtime=first.runtime,
        precision=first.precision,
        **({**found, "task_difference": None, "calibration_difference": None} if own else found),
        **_costs(measured, first, cost),
    )


def _costs(measured: MeasuredForms, form: MadeForm, cost: FormCost | None) -> dict[str, object]:
    if cost is None:
        return {}
    base = measured.costs.get(form.runtime)
    return {
        "seconds_per_case": cost.median,
        "speed": cost.speed_over(measured.costs[VERSION]),
        "speed_same_runtime": None if base is None else cost.speed_over(base),
        "peak_megabytes": cost.peak_megabytes,
        "watt_hours_per_case": cost.watt_hours,
    }
