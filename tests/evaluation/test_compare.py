from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from scipy.stats import t

from data_contracts import Case, Cohort, CohortSet, CohortUse, Evaluation, Part, Ref, Split
from medkd.evaluation.bootstrap import auc_of, bootstrap_figure, crossed_estimate, difference_figure, mean_of
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

    def evaluated(arm, role="student", seeds=2, **values):
        """Of values [N] each seed has the same, of values [seeds, N] its own."""
        found = []
        for seed in range(seeds):
            own = {name: np.broadcast_to(value, (seeds, N))[seed].copy() for name, value in values.items()}
            arrays = {f"test/{name}": torch.tensor(value, dtype=torch.float64) for name, value in own.items()}
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


def simulated(rng, seeds):
    """Return figures of an arm and of a baseline [seeds, N] that differ by nothing but chance: of runs, of patients, of both."""
    shared = rng.normal(0.5, 0.1, N)
    gap = rng.normal(0, 0.05, seeds)[:, None] + rng.normal(0, 0.02, N)[None] + rng.normal(0, 0.02, (seeds, N))
    return shared + gap, np.broadcast_to(shared, (seeds, N))


def test_over_several_seeds_the_interval_is_that_of_seeds_and_patients_crossed(run):
    workspace, cohorts, evaluated = run
    values, base = simulated(np.random.default_rng(1), 3)
    found = compare_arms(workspace, cohorts, evaluated("kd", seeds=3, dice=values), evaluated("alone", seeds=3, dice=base))
    each = (values - base).mean(1)
    wanted = crossed_estimate(mean_of(values - base), [f"p{n}" for n in range(N)], seeds=3)
    dice = found.figures["dice"]
    assert dice.mean == pytest.approx(each.mean())
    assert (dice.low, dice.high, dice.n) == pytest.approx((wanted.low, wanted.high, N))
    # With two degrees of freedom among runs no interval is narrower than Student's t of the three means.
    assert dice.high - dice.mean >= 0.95 * t.ppf(0.975, 2) * each.std(ddof=1) / np.sqrt(3)
    assert "crossed" in found.interval


def test_of_one_seed_it_is_the_percentiles_over_patients(run):
    workspace, cohorts, evaluated = run
    values, base = simulated(np.random.default_rng(1), 1)
    found = compare_arms(workspace, cohorts, evaluated("kd", seeds=1, dice=values), evaluated("alone", seeds=1, dice=base))
    wanted = bootstrap_figure(mean_of(values - base), [f"p{n}" for n in range(N)])
    assert found.figures["dice"].model_dump() == pytest.approx(wanted.model_dump())
    assert "percentile bootstrap" in found.interval


def test_three_seeds_raise_no_more_false_alarms_than_promised(run):
    """Five in a hundred are promised; percentiles of three seeds raise three times as many and more."""
    rng, patients, alarms = np.random.default_rng(3), [f"p{n}" for n in range(N)], {difference_figure: 0, bootstrap_figure: 0}
    for _ in range(100):
        values, base = simulated(rng, 3)
        for interval in alarms:
            figure = interval(mean_of(values - base), patients, seeds=3)
            alarms[interval] += figure.low > 0 or figure.high < 0
    assert alarms[difference_figure] <= 8
    assert alarms[bootstrap_figure] >= 15


def test_an_auc_is_compared_alike(run):
    workspace, cohorts, evaluated = run
    rng, labels = np.random.default_rng(0), np.arange(N) % 2
    arms = {name: rng.normal(signal * labels, 1.0, (3, N)) for name, signal in (("kd", 1.5), ("alone", 0.2))}
    found = compare_arms(workspace, cohorts, *(evaluated(name, seeds=3, probability=values) for name, values in arms.items()))
    statistics = [auc_of(values, labels) for values in arms.values()]
    wanted = crossed_estimate(
        lambda rows, seed: statistics[0](rows, seed) - statistics[1](rows, seed), [f"p{n}" for n in range(N)], seeds=3
    )
    assert (found.figures["auc"].mean, found.figures["auc"].low) == pytest.approx((wanted.mean, wanted.low))
