"""The phantom loop, short: one seed, a student that learns from labels alone."""

from __future__ import annotations

import pytest
import torch

from medkd.cohorts.prepare import prepare_cohorts
from medkd.storage.workspace import local_workspace
from medkd.training.train import train_teacher
from tests.benchmarks.redistill import STUDENTS, figures_of, held_out, numbers_of, recipe_of, run_loop, verdicts
from tests.feedback.simulated_readers import ReaderOptions

SHORT = {
    "arms": {"labels": {"terms": [{"loss": "cross_entropy"}]}}, "data.teacher": 32, "data.student": 240, "data.test": 60, "data.debiased": 60,
    "data.teacher_validation": 16, "data.marker_pairs": 20, "teacher.fit.epochs": 1, "student.fit.epochs": 6, "teacher.gate.enforce": False,
}  # fmt: skip


@pytest.mark.extended
def test_feedback_on_some_studies_moves_the_maps_off_the_marker_against_the_same_budget_without(tmp_path):
    torch.set_num_threads(1)
    workspace, recipe = local_workspace(tmp_path), recipe_of((0,), **SHORT)
    cohorts = prepare_cohorts(workspace, recipe.cohorts(), "")
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    loop = run_loop(workspace, recipe, cohorts, teacher, 0, ReaderOptions())
    said = loop.directives["after"]
    assert len(said.studies) == 36  # 15 % of 240
    assert min(len(said.of_part(part)) for part in ("train", "eval")) > 0
    assert set(loop.students) == set(STUDENTS)
    figures = figures_of([held_out(workspace, recipe, loop)])
    assert figures["relative_fall_after_against_control"]["mean"] >= 0.5
    assert figures["auc_change_after_against_control_test"]["mean"] >= -0.05  # of 60 cases
    assert figures["outside_share_control_debiased"]["mean"] > 0.05
    judged = verdicts(workspace, recipe, [loop])
    assert judged["gate_passes_after"] + len(judged["gate_refusals_after"]) >= 1


def test_what_is_printed_is_a_number_each():
    figures = {"fall": {"mean": 0.5, "low": 0.25, "high": 0.75, "n": 3}, "refused": {"auc": 2}, "studies": [7, 8], "seconds": 9}
    assert numbers_of(figures) == {
        "fall": 0.5, "fall_low": 0.25, "fall_high": 0.75, "fall_n": 3, "refused_auc": 2, "studies_0": 7, "studies_1": 8, "seconds": 9,
    }  # fmt: skip
