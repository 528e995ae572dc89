"""One window: which family moved, by what, which way, and how often a clean one says so."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from data_contracts import DataError, FeatureFamily
from medkd.drift.compare_window import DriftSettings, by_family, compare_window, require_reachable
from tests.drift.profiles import drawn, reference

SETTINGS = DriftSettings(alarm_rate=0.05, window_studies=20, permutations=999)
NAMES = [f"p{number}" for number in range(20)]


@pytest.mark.parametrize("family", list(FeatureFamily))
@pytest.mark.parametrize("sign", [1, -1])
def test_the_family_that_moved_is_first_with_its_feature_and_direction(family, sign):
    found = compare_window(reference(), drawn(20, 1, **{family.value: 3.0 * sign}), NAMES, SETTINGS)
    own = by_family(found)[family]
    assert (found.alarm, found.first_family, found.order) == (True, family, (family,))
    assert own.moved[0].name in ("image_0", "expected_dice", "cam/mass_beyond_20_mm")
    assert own.moved[0].direction == ("up" if sign > 0 else "down")
    assert found.p == own.p <= 0.01
    assert all(not one.moved for one in found.families if one.family is not family)


def test_a_modality_that_was_never_seen_is_drift_of_the_images():
    found = compare_window(reference(), drawn(20, 2, modality="CT"), NAMES, SETTINGS)
    assert found.first_family is FeatureFamily.IMAGES
    assert {row.name: row.direction for row in by_family(found)[FeatureFamily.IMAGES].moved[:2]} == {
        "modality CT": "up",
        "modality MR": "down",
    }


def test_confidence_that_fell_takes_the_estimate_down_by_as_much():
    clean = compare_window(reference(), drawn(20, 3), NAMES, SETTINGS)
    lower = compare_window(reference(), drawn(20, 3, predictions=-2.0), NAMES, SETTINGS)
    assert clean.performance.window - lower.performance.window == pytest.approx(0.2)  # a tenth of two standard deviations
    assert (lower.performance.method, lower.performance.reference) == ("doc", pytest.approx(0.8))


def test_clean_windows_raise_no_more_alarms_than_was_set():
    """All windows of their own references: 150 independent draws, of 12 studies each."""
    settings, alarms = DriftSettings(alarm_rate=0.1, window_studies=12, permutations=299), 0
    for seed in range(150):
        found = compare_window(reference(40, 10_000 + seed), drawn(12, seed), NAMES[:12], settings)
        alarms += found.alarm
    assert alarms <= binom.ppf(0.999, 150, 0.1)
    assert alarms > 0  # half of the rate is spent on the single window


def test_studies_of_one_patient_are_one_witness():
    """Twenty copies of one study look like drift; as one patient's they are a single draw."""
    copies = drawn(1, 8) * 20
    apart, together = (compare_window(reference(), copies, names, SETTINGS) for names in (NAMES, ["p"] * 20))
    assert apart.alarm
    assert (together.alarm, together.patients, together.studies) == (False, 1, 20)


def test_evidence_is_gathered_until_an_alarm_and_then_anew():
    settings, before = DriftSettings(alarm_rate=0.05, window_studies=20, permutations=499), None
    processes, alone = [], []
    for seed in range(12):
        before = compare_window(reference(), drawn(20, 60 + seed, attribution=0.9), NAMES, settings, before)
        processes.append(by_family(before)[FeatureFamily.ATTRIBUTION].e_process)
        alone.append(before.alarm)
        assert before.number == seed + 1
    assert any(alone)
    assert before.order[0] is FeatureFamily.ATTRIBUTION
    place = alone.index(True)
    if place + 1 < 12:  # after the alarm the process begins at one: no window adds more than its own e-value
        assert processes[place + 1] <= 0.5 / np.sqrt(1 / 500) + 1e-9


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"alarm_rate": 0}, "an alarm rate between 0 and 1"), ({"alarm_rate": 2.0}, "got 2.0"), ({"window_studies": 1}, "2 studies or more, got 1"),
     ({"permutations": 10}, "2000 permutations or more")],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(changes, said):
    with pytest.raises(DataError, match=said) as caught:
        DriftSettings(**changes)
    assert caught.value.code == "DRIFT_SETTINGS"


def test_a_reference_that_no_drift_could_be_seen_beside_is_refused():
    with pytest.raises(DataError) as caught:
        require_reachable(7, 2, DriftSettings(alarm_rate=0.01))
    assert caught.value.code == "DRIFT_REFERENCE_SMALL"
    assert "36 ways" in str(caught.value)  # 9 choose 2
    require_reachable(7, 5, DriftSettings(alarm_rate=0.01))  # 792
