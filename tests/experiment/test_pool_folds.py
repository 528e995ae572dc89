"""Out-of-fold answers pooled: figures of all patients, and what each fold says alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_contracts import CaseResults, CaseUnits, EnsembleScore, load_record
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


def test_the_table_names_folds_spread_and_the_ensemble(folds):
    ensemble = load_record(GOLDEN / "ensemble_score_1.json", EnsembleScore)
    text = cross_validation_markdown(pool_folds(golden_recipe("r"), folds[2], ensemble))
    assert "2 folds (column kFold)" in text
    assert "| auc | 0.900 [0.800, 1.000] | 0.850, 0.870 | +0.040 [-0.010, +0.090] |" in text
