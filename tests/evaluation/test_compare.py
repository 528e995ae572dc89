from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from data_contracts import Case, Cohort, CohortSet, CohortUse, Evaluation, Part, Ref, Split
from medkd.evaluation.compare import compare_arms
from medkd.storage.workspace import local_workspace

N = 40


@pytest.fixture
def run(tmp_path):
    """Return a workspace, its cohorts of N patients, and a maker of evaluations from per-case values by name."""
    workspace = local_workspace(tmp_path / "run")
    image = Ref(store="run", key="x", sha256="0" * 64)
    cases = tuple(Case(case_key=f"c{n}", patient_key=f"p{n}", image=image, label=n % 2) for n in range(N))
    cohort = Cohort(
        name="x", origin="test", classes=("a", "b"), cases=cases, split=Split(parts={Part.TEST: tuple(c.case_key for c in cases)})
    )
    cohort.write(workspace.store.root / "x.json")
    cohorts = CohortSet(uses={"test": CohortUse(cohort=workspace.store.refer("x.json"), part=Part.TEST)}, certificates=())

    def evaluated(arm, role="student", **values):
        found = []
        for seed in range(2):
            arrays = {f"test/{name}": torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
            ref = workspace.store.write_tensors(f"{arm}-{seed}", arrays)
            digest = hashlib.sha256(arm.encode()).hexdigest()
            found.append(
                Evaluation(
                    arm=arm, role=role, seed=seed, weights_digest=digest, parameters=1, latency_ms=1.0, train_seconds=1.0, arrays=ref
                )
            )
        return tuple(found)

    return workspace, cohorts, evaluated


def test_a_difference_is_paired_case_by_case(run):
    workspace, cohorts, evaluated = run
    base = np.random.default_rng(0).uniform(0, 0.5, N)
    arm, baseline = evaluated("kd", dice=base + 0.25), evaluated("alone", dice=base)
    found = compare_arms(workspace, cohorts, arm, baseline)
    assert (found.arm, found.baseline) == ("kd", "alone")
    # Every case gains the same: resampled together, the interval has no width whatever the cases are like.
    assert (found.figures["dice"].low, found.figures["dice"].mean, found.figures["dice"].high) == pytest.approx((0.25,) * 3)
    assert found.figures["dice"].n == N


def test_figures_that_one_of_the_two_lacks_or_that_are_undefined_are_left_out(run):
    workspace, cohorts, evaluated = run
    values = np.linspace(0, 1, N)
    arm = evaluated("kd", dice=values, lesion_f1=values, pointing=np.full(N, np.nan))
    found = compare_arms(workspace, cohorts, arm, evaluated("alone", dice=values, surface_dice=values, pointing=values))
    assert set(found.figures) == {"dice"}


def test_the_gap_is_closed_by_the_share_of_the_way_to_the_teacher(run):
    workspace, cohorts, evaluated = run
    base = np.random.default_rng(0).uniform(0, 0.5, N)
    arms = [
        evaluated(name, dice=base + gain, hausdorff_95=np.full(N, 10 - 10 * gain))
        for name, gain in (("alone", 0.0), ("kd", 0.1), ("teacher", 0.4))
    ]
    found = compare_arms(workspace, cohorts, arms[1], arms[0], arms[2])
    assert found.figures["gap_closure_dice"].mean == pytest.approx(0.25)
    # Of a distance less is better: the way down to the teacher's is the gap.
    assert found.figures["gap_closure_hausdorff_95"].mean == pytest.approx(0.25)


def test_a_teacher_that_is_hardly_better_leaves_no_gap_to_close(run):
    workspace, cohorts, evaluated = run
    base = np.random.default_rng(0).uniform(0, 0.5, N)
    arms = [evaluated(name, dice=base + gain) for name, gain in (("alone", 0.0), ("kd", 0.1), ("teacher", 0.001))]
    assert "gap_closure_dice" not in compare_arms(workspace, cohorts, arms[1], arms[0], arms[2]).figures
