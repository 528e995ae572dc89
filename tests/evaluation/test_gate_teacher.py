from __future__ import annotations

import pytest

from data_contracts import Gate, TeacherGateError
from medkd.evaluation.gate_teacher import judge_teacher, require_fit_teacher
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
    assert require_fit_teacher(verdict) is None
