"""Out-of-fold answers pooled: figures of all patients, and what each fold says alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_contracts import CaseResults, CaseUnits, CrossValidation, EnsembleScore, LossTerm, load_record, read_record
from flows.cross_validate_text import cross_validation_text
from medkd.experiment.pool_folds import cross_validation_markdown, pool_folds
from tests.flows.recording import GOLDEN, golden_recipe

RNG = np.random.default_rng(0)


def of_fold(number, arm, seed, probability, labels):
    units = CaseUnits(
        case_keys=tuple(f"c{number}-{row}" for row in range(len(labels))), patient_keys=tuple(f"p{number}-{row // 2}" for row in range(len(labels))),
        labels=tuple(labels), lesion_voxels=(None,) * len(labels),
    )  # fmt: skip
    values = {"test/probability": tuple(probability), "test/pointing": (1.0, 0.0, None)}
    return CaseResults(
        subject=f"r-fold{number}/{arm}",
        seed=seed,
        weights_digest="a" * 64,
        cohorts={"test": "b" * 64},
        units={"test": units},
        values=values,
    )


@pytest.fixture(scope="module")
def folds():
    labels = [[0, 0, 1, 1, 0, 0, 1, 1], [1, 1, 0, 0, 1, 1]]
    fold = SimpleNamespace(data=SimpleNamespace(fold=SimpleNamespace(column="kFold")))
    shown = [
        [
            {"kd": [RNG.uniform(0, 1, len(own)) for _ in range(2)], "teacher": [np.array(own) * 0.5 + RNG.uniform(0, 0.6, len(own))]}
            for own in labels
        ]
    ][0]
    results = [
        SimpleNamespace(
            recipe=fold,
            case_results=tuple(
                of_fold(number, arm, seed, one, labels[number]) for arm, seeds in by_arm.items() for seed, one in enumerate(seeds)
            ),
        )
        for number, by_arm in enumerate(shown)
    ]
    return labels, shown, results


def test_pooled_figures_are_of_all_patients_and_folds_stand_beside_them(folds):
    labels, shown, results = folds
    found = pool_folds(golden_recipe("r"), results)
    together = np.concatenate(labels)
    wanted = np.mean([roc_auc_score(together, np.concatenate([by_arm["kd"][seed] for by_arm in shown])) for seed in range(2)])
    pooled = found.arms["kd"]
    assert pooled.figures["auc"].mean == pytest.approx(wanted)
    assert pooled.figures["auc"].n == 7
    each = [np.mean([roc_auc_score(own, by_arm["kd"][seed]) for seed in range(2)]) for own, by_arm in zip(labels, shown, strict=True)]
    assert pooled.per_fold["auc"] == pytest.approx(each)
    assert pooled.spread["auc"] == pytest.approx(np.std(each, ddof=1))
    assert pooled.figures["pointing"].mean == pytest.approx(0.5)
    assert (found.arms["teacher"].role, found.folded_by) == ("teacher", "column kFold")
    assert [(one.n, one.cases) for one in found.folds] == [(4, 8), (3, 6)]


def with_arms(*names):
    """Return the recipe with arms that ask a teacher, ``plain`` and ``alone`` excepted."""
    (kd,) = golden_recipe("r").arms.values()
    without = kd.model_copy(update={"terms": (LossTerm(loss="cross_entropy"),)})
    return golden_recipe("r", arms={name: without if name in ("alone", "plain") else kd for name in names})


def made(labels, draws, lacking=()):
    """Return the results of folds: ``draws`` are of each arm its probabilities [seeds, rows] of each fold; ``lacking`` the (fold, arm) left out."""
    fold = SimpleNamespace(data=SimpleNamespace(fold=SimpleNamespace(column="kFold")))
    return [
        SimpleNamespace(
            recipe=fold,
            case_results=tuple(
                of_fold(number, arm, seed, one, own)
                for arm, of_folds in draws.items()
                if (number, arm) not in lacking
                for seed, one in enumerate(of_folds[number])
            ),
        )
        for number, own in enumerate(labels)
    ]


def drawn_arms(labels, rng, signals, seeds):
    return {
        arm: [rng.normal(0.4 + signal * np.array(own) / 5, 0.1, (seeds[arm], len(own))) for own in labels]
        for arm, signal in signals.items()
    }


@pytest.mark.parametrize("control", ["alone", "plain"])
def test_arms_are_compared_case_by_case_with_the_teacher_and_the_student_alone(control):
    labels = [[0, 1] * 20, [1, 0] * 15]
    seeds = {"teacher": 1, control: 3, "kd": 3}
    draws = drawn_arms(labels, np.random.default_rng(0), {"teacher": 2.0, control: 0.3, "kd": 0.8}, seeds)
    found = pool_folds(with_arms("kd", control), made(labels, draws))
    together = np.concatenate(labels)
    auc = {
        arm: [roc_auc_score(together, np.concatenate([fold[seed] for fold in own])) for seed in range(seeds[arm])]
        for arm, own in draws.items()
    }
    pairs = {(one.arm, one.baseline): one for one in found.differences}
    assert set(pairs) == {("kd", "teacher"), ("kd", control), (control, "teacher")}
    for (arm, baseline), one in pairs.items():
        difference = one.figures["auc"]
        assert difference.mean == pytest.approx(np.mean(auc[arm]) - np.mean(auc[baseline]))
        assert difference.low < difference.mean < difference.high
        assert difference.n == 35
        assert "crossed" in one.interval
        # Paired: every arm found the same of these maps.
        assert (one.figures["pointing"].low, one.figures["pointing"].high) == (0, 0)
    share = pairs["kd", control].gap_closure
    gap = auc["teacher"][0] - np.mean(auc[control])
    assert share["auc"].mean == pytest.approx((np.mean(auc["kd"]) - np.mean(auc[control])) / gap)
    assert set(share) == {"auc"}
    assert pairs["kd", "teacher"].gap_closure == {}
    text = cross_validation_markdown(found)
    assert f"| kd - {control} | auc | {pairs['kd', control].figures['auc'].mean:+.3f} [" in text
    assert f"| {share['auc'].mean:.2f} [" in text


def test_a_teacher_that_is_hardly_better_leaves_no_share_of_a_gap():
    labels = [[0, 1] * 20, [1, 0] * 15]
    draws = drawn_arms(labels, np.random.default_rng(0), {"teacher": 0.0, "alone": 1.0, "kd": 1.5}, {"teacher": 1, "alone": 1, "kd": 1})
    found = pool_folds(with_arms("alone", "kd"), made(labels, draws))
    (one,) = (one for one in found.differences if one.baseline == "alone")
    assert one.gap_closure == {"auc": None}
    assert "percentile bootstrap" in one.interval
    assert "| no gap |" in cross_validation_markdown(found)
    assert "kd - alone auc" in cross_validation_text(found)
    assert "no gap" in cross_validation_text(found)
    assert max(map(len, cross_validation_text(found).splitlines())) <= 100
    assert read_record(found.canonical_json(), CrossValidation) == found


def test_what_one_fold_lacks_is_not_pooled(caplog):
    labels = [[0, 1] * 6, [1, 0] * 5]
    draws = drawn_arms(labels, np.random.default_rng(0), {"teacher": 1.0, "kd": 1.0, "other": 1.0}, {"teacher": 1, "kd": 2, "other": 1})
    first, second = made(labels, draws, lacking={(1, "other")})
    short = tuple(one.model_copy(update={"values": {"test/probability": one.values["test/probability"]}}) for one in second.case_results)
    for results in (
        [first, SimpleNamespace(recipe=second.recipe, case_results=short)],
        [SimpleNamespace(recipe=second.recipe, case_results=short), first],
    ):
        caplog.clear()
        found = pool_folds(with_arms("kd", "other"), results)
        assert set(found.arms) == {"teacher", "kd"}
        assert set(found.arms["kd"].figures) == {"auc", "ece"}
        assert "FOLD_LACKS_ARM: other is not pooled" in caplog.text
    fewer = SimpleNamespace(recipe=second.recipe, case_results=tuple(one for one in second.case_results if one.seed == 0))
    assert pool_folds(with_arms("kd"), [first, fewer]).arms["kd"].figures["auc"].n == 11


def test_an_old_record_has_no_differences_and_keeps_its_bytes():
    kept = (GOLDEN / "cross_validation_1.json").read_bytes()
    found = read_record(kept, CrossValidation)
    assert found.differences == ()
    assert found.canonical_json().strip() == kept.strip()


def test_the_table_names_folds_spread_and_the_ensemble(folds):
    ensemble = load_record(GOLDEN / "ensemble_score_1.json", EnsembleScore)
    text = cross_validation_markdown(pool_folds(golden_recipe("r"), folds[2], ensemble))
    assert "2 folds (column kFold)" in text
    assert "| auc | 0.900 [0.800, 1.000] | 0.850, 0.870 | +0.040 [-0.010, +0.090] |" in text
