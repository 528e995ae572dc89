"""Distances against scikit-learn's; the study's own patient apart; and what is said of an unlike case and of few."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from data_contracts import Ref, TaskKind, TrainingFeatures, TrainingItem
from medkd.inference.nearest_cases import (
    FAR,
    LEAST_ITEMS,
    NAMED,
    ComparedFinding,
    TrainingCases,
    distances,
    groups_of,
    nearest_of_others,
    quantiles_of,
    similar_cases,
)


def training(features, patients, labels, kind=TaskKind.CLASSIFICATION):
    whose = zip(patients, labels, strict=True)
    items = tuple(TrainingItem(case_key=f"c{row}", patient_key=patient, label=label) for row, (patient, label) in enumerate(whose))
    record = TrainingFeatures(
        weights_digest="0" * 64, cohort_digest="1" * 64, kind=kind, layer="layer4", pooling="mean", cases=len(items), items=items,
        array=Ref(store="run", key="f", sha256="2" * 64),
    )  # fmt: skip
    return TrainingCases(record, features, nearest_of_others(features, patients, groups_of(kind, labels)))


@pytest.fixture(params=[TaskKind.CLASSIFICATION, TaskKind.SEGMENTATION])
def known(request):
    """Return 240 items of 80 patients and two labels, in more rows than are compared at once where the bound is lowered."""
    generator = np.random.default_rng(0)
    patients = [f"p{i // 3}" for i in range(240)]
    labels = [("a", "b")[i % 2] for i in range(240)]
    return training(generator.normal(size=(240, 6)).astype(np.float32), patients, labels, request.param)


def asked(row, *, patient="unknown", name="a"):
    return ComparedFinding(0, 1, name, patient, row)


def peers(known, patient, name):
    items = known.record.items
    segments = known.record.kind is TaskKind.SEGMENTATION
    return [i for i, one in enumerate(items) if one.patient_key != patient and (not segments or one.label == name)]


def test_the_nearest_of_other_patients_are_those_of_scikit_learn(known, monkeypatch):
    monkeypatch.setattr("medkd.inference.nearest_cases._ROWS", 37)
    items = known.record.items
    again = nearest_of_others(
        known.features, [one.patient_key for one in items], groups_of(known.record.kind, [one.label for one in items])
    )
    for row in range(0, 240, 17):
        rows = peers(known, items[row].patient_key, items[row].label)
        search = NearestNeighbors(n_neighbors=NAMED, algorithm="brute").fit(known.features[rows].astype(np.float64))
        apart, places = search.kneighbors(known.features[row : row + 1].astype(np.float64))
        found = similar_cases(asked(known.features[row], patient=items[row].patient_key, name=items[row].label), known)
        assert [one.case_key for one in found.cases] == [items[rows[place]].case_key for place in places[0]]
        assert [one.distance * known.scale() for one in found.cases] == pytest.approx(apart[0].tolist(), rel=1e-6)
        assert again[row] == known.nearest[row] == pytest.approx(apart[0][0], rel=1e-6)
        assert (found.compared, found.patients) == (len(rows), len({items[one].patient_key for one in rows}))


def test_a_training_case_asked_again_is_its_own_nearest_and_named_as_the_same_patients(known):
    twin = similar_cases(asked(known.features[4], patient="p1", name="a"), known)
    assert (twin.same_patient[0].case_key, twin.same_patient[0].distance) == ("c4", 0.0)
    whose = {one.case_key: one.patient_key for one in known.record.items}
    assert {whose[one.case_key] for one in twin.same_patient} == {"p1"}
    assert "p1" not in {whose[one.case_key] for one in twin.cases}
    # Under another pseudonym nobody can know that it is the same patient: it is then the nearest, at no distance.
    unknown = similar_cases(asked(known.features[4], name="a"), known)
    assert (unknown.cases[0].case_key, unknown.cases[0].distance, unknown.same_patient, unknown.nearer) == ("c4", 0.0, (), 0.0)


def test_an_unlike_case_lies_farther_than_training_cases_lie_apart_and_an_ordinary_case_does_not(known):
    ordinary = similar_cases(asked(np.zeros(6, dtype=np.float32)), known)
    strange = similar_cases(asked(np.full(6, 9, dtype=np.float32)), known)
    assert ordinary.nearer < 0.5
    assert strange.nearer == 1.0 >= FAR
    own = np.sort(known.nearest[peers(known, "unknown", "a")])
    middle = similar_cases(asked(known.features[0], patient="p0", name=known.record.items[0].label), known)
    assert middle.nearer == pytest.approx(
        (known.nearest[peers(known, "p0", "a")] < middle.cases[0].distance * known.scale() * (1 - 1e-9)).mean()
    )
    assert known.scale() == pytest.approx(float(np.median(known.nearest)))
    assert len(own) == (240 if known.record.kind is TaskKind.CLASSIFICATION else 120)


def test_distances_are_told_as_multiples_of_the_median_whatever_the_features_scale_is(known):
    larger = training(
        known.features * 1000, [i.patient_key for i in known.record.items], [i.label for i in known.record.items], known.record.kind
    )
    one, other = (
        similar_cases(asked(row), cases) for row, cases in ((np.ones(6, np.float32), known), (np.full(6, 1000, np.float32), larger))
    )
    assert [c.distance for c in one.cases] == pytest.approx([c.distance for c in other.cases], rel=1e-5)
    assert one.nearer == other.nearer


def test_of_few_training_cases_nothing_is_said_of_how_far_is_far():
    def of(count):
        rows = np.arange(count, dtype=np.float32)[:, None]
        return similar_cases(asked(np.array([1e6], np.float32)), training(rows, [f"p{i}" for i in range(count)], ["a"] * count))

    assert of(LEAST_ITEMS - 1).nearer is None
    assert of(LEAST_ITEMS).nearer == 1.0


def test_one_patient_alone_and_a_class_that_nobody_has_are_compared_with_nothing():
    alone = training(np.zeros((3, 2), np.float32), ["p"] * 3, ["a"] * 3, TaskKind.SEGMENTATION)
    assert np.isinf(alone.nearest).all()
    assert (alone.scale(), quantiles_of(alone.nearest)) == (1.0, {})
    assert similar_cases(asked(np.zeros(2, np.float32), name="z"), alone).cases == ()
    own = similar_cases(asked(np.zeros(2, np.float32), patient="p"), alone)
    assert (own.cases, own.nearer, len(own.same_patient)) == ((), None, 3)


def test_equal_rows_have_no_distance_and_quantiles_are_those_of_finite_ones():
    row = np.array([[0.1, 1e3, -7.77]], np.float32)
    assert distances(row, row)[0, 0] == 0.0
    assert quantiles_of(np.array([np.inf, *range(101)], np.float32)) == {"50": 50.0, "90": 90.0, "95": 95.0, "99": 99.0}
