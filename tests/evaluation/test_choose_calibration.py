"""What a network is calibrated by, on logits of known make."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import DataError
from medkd.evaluation.choose_calibration import FOLDS, NOT_BETTER, Samples, choose_calibration, folds_of
from medkd.evaluation.fit_calibration import fit_temperature
from medkd.evaluation.reliability import reliability_of
from tests.evaluation.drawn import samples


def test_logits_that_are_too_sure_are_cooled_by_one_temperature():
    own = samples(lambda logits: logits * 3)
    chosen = choose_calibration(own)
    assert chosen.scaling == fit_temperature(own.logits, own.labels)
    assert chosen.scaling.temperature == pytest.approx(3, rel=0.3)
    before, after = reliability_of(own.logits, own).ece, reliability_of(chosen.held_out, own).ece
    assert after.high < before.low
    assert before.n == 120


def test_classes_that_are_off_each_in_its_own_way_are_scaled_one_by_one():
    own = samples(lambda logits: logits * [1.0, 3.0] + [2.0, 0.0], patients=300)
    assert choose_calibration(own).scaling.method == "vector"


def test_calibrated_logits_are_not_given_a_value_per_class():
    assert choose_calibration(samples(patients=300)).scaling.method != "vector"


def test_where_no_fit_helps_held_out_patients_nothing_is_changed():
    """Logits that are calibrated already: by chance, a fit on the others raises a patient's loss."""
    own = next(one for one in (samples(seed=seed, patients=60) for seed in range(40)) if choose_calibration(one).scaling.method == "none")
    chosen = choose_calibration(own)
    assert (chosen.scaling.scales, chosen.scaling.reason) == ((1.0, 1.0), NOT_BETTER)
    np.testing.assert_array_equal(chosen.held_out, own.logits)


def test_a_few_patients_calibrate_nothing():
    chosen = choose_calibration(samples(lambda logits: logits * 3, patients=19))
    assert (chosen.scaling.method, chosen.scaling.reason) == ("none", "19 validation patients are fewer than 20")


def test_one_class_is_refused():
    own = samples()
    with pytest.raises(DataError, match="at least two classes"):
        choose_calibration(Samples(own.logits, own.labels * 0, own.patient, own.names))


def test_no_patient_is_judged_by_a_fit_on_itself():
    """A patient with both classes, whose labels are turned round: folds stay, and nothing that it is judged by changes."""
    own = samples(lambda logits: logits * 3)
    means = np.bincount(own.patient, weights=own.labels) / 3
    rows = own.patient == np.flatnonzero((means > 0) & (means < 1))[0]
    other = Samples(own.logits, np.where(rows, 1 - own.labels, own.labels), own.patient, own.names)
    first, second = choose_calibration(own), choose_calibration(other)
    np.testing.assert_array_equal(first.held_out[rows], second.held_out[rows])
    assert first.scaling != second.scaling


def test_folds_part_patients_and_spread_the_classes():
    own = samples(each=1)
    fold = folds_of(own)
    assert np.bincount(fold).tolist() == [120 // FOLDS] * FOLDS
    positives = [int(own.labels[fold == index].sum()) for index in range(FOLDS)]
    assert max(positives) - min(positives) <= 1
