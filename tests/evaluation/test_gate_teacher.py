from __future__ import annotations

import copy

import pytest

from data_contracts import Gate, Subset, TeacherGateError
from medkd.cohorts.tensor_cohort import read_cohort
from medkd.evaluation.gate_teacher import judge_teacher, refusal, require_fit_teacher
from medkd.training.train import train_teacher


def gated(workspace, recipe, cohorts, **gate):
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    return judge_teacher(workspace, recipe.name, Gate(**gate), cohorts, teacher)


def test_a_teacher_that_fails_is_refused_with_each_reason(workspace, recipe, cohorts):
    verdict = gated(workspace, recipe, cohorts, min_auc=0.999, min_relevance_mass_accuracy=0.999, max_marker_effect=0.9)
    assert not verdict.passed
    with pytest.raises(TeacherGateError, match=r"min_auc 0\.999 .*min_relevance_mass_accuracy 0\.999") as caught:
        require_fit_teacher(verdict)
    assert caught.value.code == "TEACHER_REFUSED"
    assert "max_marker_effect" not in str(caught.value)


def test_a_recipe_may_go_on_all_the_same(workspace, recipe, cohorts):
    verdict = gated(workspace, recipe, cohorts, min_auc=0.999, enforce=False)
    assert not verdict.passed
    assert require_fit_teacher(verdict) is None


def test_a_teacher_that_holds_passes(workspace, recipe, cohorts):
    verdict = gated(workspace, recipe, cohorts, min_auc=0.0, min_relevance_mass_accuracy=0.0, max_marker_effect=1.0)
    assert verdict.passed
    assert {finding.requirement for finding in verdict.findings} == {"min_auc", "min_relevance_mass_accuracy", "max_marker_effect"}
    assert "not_measured" not in verdict.canonical_json().decode()
    assert require_fit_teacher(verdict) is None


def judged_by(workspace, cohorts, name, keep=bool, change=copy.copy):
    """Return the cohorts with other cases for the gate: some of its own, each changed."""
    use = cohorts.uses[Subset.TEACHER_VALIDATION]
    cohort = read_cohort(use.cohort, workspace.store)
    kept = tuple(case.case_key for case in cohort.part(use.part) if keep(case))
    cases = tuple(change(case) for case in cohort.cases)
    # What the gate does not see is in the other part: a cohort has each of its cases in one.
    (other,) = (part for part in cohort.split.parts if part != use.part)
    rest = tuple(case.case_key for case in cohort.cases if case.case_key not in kept)
    split = cohort.split.model_copy(update={"parts": {other: rest, use.part: kept}})
    cohort.model_copy(update={"cases": cases, "split": split}).write(workspace.store.root / f"{name}.json")
    own = use.model_copy(update={"cohort": workspace.store.refer(f"{name}.json")})
    return cohorts.model_copy(update={"uses": {**cohorts.uses, Subset.TEACHER_VALIDATION: own}})


def test_a_figure_that_is_undefined_on_data_that_should_show_it_holds_no_bound(workspace, recipe, cohorts):
    one_class = judged_by(workspace, cohorts, "one-class", keep=lambda case: case.label == 1)
    verdict = gated(workspace, recipe, one_class, min_auc=0.0, min_relevance_mass_accuracy=0.0)
    (auc, rma) = verdict.findings
    assert (auc.requirement, auc.measured, auc.holds) == ("min_auc", None, False)
    assert rma.holds
    assert refusal(verdict) == (
        f"expected a teacher that may be copied, {verdict.subject} fails min_auc 0 (undefined on teacher_validation, whose labels are of one "
        "class); set its gate.enforce: false to distil all the same"
    )
    with pytest.raises(TeacherGateError) as caught:
        require_fit_teacher(verdict)
    assert caught.value.code == "TEACHER_REFUSED"


def test_a_bound_of_another_kind_of_task_holds_back_whoever_judges_without_a_recipe(workspace, recipe, cohorts):
    verdict = gated(workspace, recipe, cohorts, min_dice=0.0, min_cpm=0.0)
    assert [(one.requirement, one.holds) for one in verdict.findings] == [("min_dice", False), ("min_cpm", False)]
    assert "a figure of another kind of task" in refusal(verdict)


def test_what_the_data_cannot_show_is_no_failure_and_is_said(workspace, recipe, cohorts):
    bare = judged_by(workspace, cohorts, "bare", change=lambda case: case.model_copy(update={"mask": None}))
    bare = bare.model_copy(update={"uses": {name: use for name, use in bare.uses.items() if name != Subset.MARKER_PAIRS}})
    verdict = gated(workspace, recipe, bare, min_auc=0.0, min_relevance_mass_accuracy=0.9, max_marker_effect=0.0)
    assert [one.requirement for one in verdict.findings] == ["min_auc"]
    assert verdict.passed
    assert verdict.not_measured == {
        "min_relevance_mass_accuracy": "no case of teacher_validation has a mask",
        "max_marker_effect": "the data has no marker pairs",
    }
