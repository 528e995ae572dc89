"""Rounds on the gap, with real students: weights reach the loss, the rule stops them, the control has none."""

from __future__ import annotations

import os
import shutil

import pytest
import torch

from data_contracts import GapFineTuning, SelectionCriterion
from medkd.cohorts.tensor_cohort import open_use
from medkd.experiment import gap_fine_tuning
from medkd.experiment.gap_fine_tuning import MOST, WeightedCohort, bounded, fine_tune_on_gap, gap_weights
from medkd.models._load import load_network
from medkd.storage.workspace import local_workspace
from medkd.training.objective import Objective
from medkd.training.train import distill, train_teacher
from medkd.training.training_run import load_teacher

GOAL = SelectionCriterion(primary="auc_debiased", select="agreement")


@pytest.fixture(scope="module")
def trained(workspace, recipe, cohorts):
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    return teacher, distill(workspace, recipe.student_training("kd", 0), cohorts, teacher)


def dwell(workspace, recipe, cohorts, trained, **config):
    return fine_tune_on_gap(
        workspace, recipe.student_training("kd", 0), cohorts, *trained, GapFineTuning(arm="kd", epochs=1, **config), GOAL
    )


def test_rounds_stop_when_the_gap_falls_too_little(workspace, recipe, cohorts, trained):
    course = dwell(workspace, recipe, cohorts, trained, rounds=3, least_gain=0.99)
    assert [entry.round for entry in course.rounds] == [0, 1]
    assert course.stopped.startswith("round 1 lowered the gap from")
    gaps = [entry.scores.gap for entry in course.rounds]
    assert course.chosen == gaps.index(min(gaps))
    assert course.weighted


@pytest.mark.parametrize(
    ("gaps", "stopped"),
    [((4.0, 3.0, 2.0), "all 2 rounds made"), ((4.0, 5.0), "round 1 lowered the gap from 4.000 to 5.000, less than 0%")],
)
def test_all_rounds_are_made_while_it_falls_enough(tmp_path, workspace, recipe, cohorts, trained, monkeypatch, gaps, stopped):
    """The gap after each round is set here: whether it falls by training is a matter of chance."""
    left, look = iter(gaps), gap_fine_tuning._look

    def looked(*asked):
        return look(*asked).model_copy(update={"gap": next(left)})

    monkeypatch.setattr(gap_fine_tuning, "_look", looked)
    # Its own results, with the bytes of the shared run: nothing that was set here is remembered for others.
    shutil.copytree(workspace.root, tmp_path / "run", copy_function=os.link)
    course = dwell(local_workspace(tmp_path / "run"), recipe, cohorts, trained, rounds=2, least_gain=0.0, strength=0.0)
    assert [entry.round for entry in course.rounds] == list(range(len(gaps)))
    assert [entry.scores.gap for entry in course.rounds] == list(gaps)
    assert course.stopped == stopped
    assert course.chosen == gaps.index(min(gaps))
    assert not course.weighted
    digests = [entry.checkpoint.weights_digest for entry in course.rounds]
    assert len(set(digests)) == len(digests)


def test_weights_follow_the_gap_and_reach_the_batch(workspace, recipe, cohorts, trained):
    teacher, student = trained
    loaded = load_teacher(workspace, Objective(recipe.arms["kd"].terms), teacher, recipe.task)
    cohort = open_use(cohorts, "student_train/0", workspace.store, recipe.task)
    network = load_network(workspace, student)
    cases, voxels = gap_weights(loaded, network, cohort, recipe.task, 1.0)
    with torch.no_grad():
        answers = [n(cohort.images) for n in (loaded.network, network)]
    index = answers[0].argmax(1)
    gap = torch.stack([(a.gather(1, index[:, None]) - a.gather(1, 1 - index[:, None]))[:, 0] for a in answers]).diff(dim=0)[0].abs()
    share = (gap / gap.mean()).clamp(1 / MOST, MOST)
    assert torch.allclose(cases, share / share.mean(), atol=1e-3)
    assert float(voxels.mean()) == pytest.approx(1, abs=1e-3)
    rows = torch.tensor([3, 1])
    sample = WeightedCohort(cohort, cases, voxels).draw(rows, recipe.task, recipe.student.fit, torch.Generator())
    assert torch.equal(sample.weights, cases[rows])
    assert torch.equal(sample.voxel_weights, voxels[rows])
    ones, everywhere = gap_weights(loaded, network, cohort, recipe.task, 0.0)
    assert bool((ones == 1).all() & (everywhere == 1).all())


def test_weights_have_mean_one_grow_with_the_gap_and_stay_in_bounds():
    values = torch.tensor([[0.0, 1.0, 1.0, 2.0, 100.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    weights = bounded(values, 1.0)
    assert weights.mean(1) == pytest.approx([1.0, 1.0])
    assert weights[1].tolist() == pytest.approx([1.0] * 5)
    assert weights[0].tolist() == sorted(weights[0].tolist())
    assert float(weights.max() / weights.min()) <= MOST**2 + 1e-3
    assert bounded(values, 0.0)[0].tolist() == pytest.approx([1.0] * 5)
