"""What probabilities must be worth."""

from __future__ import annotations

import pytest

from data_contracts import CheckOutcome
from medkd.promotion.check_calibration import check_calibration
from tests.promotion.versions import setting_of


@pytest.mark.parametrize(("ece", "outcome"), [(0.05, CheckOutcome.HOLDS), (0.15, CheckOutcome.FAILS)])
def test_the_calibration_error_is_the_held_out_one(registry, make, ece, outcome):
    (check,) = check_calibration(setting_of(registry, make(ece=ece)))
    assert (check.outcome, check.value, check.reference) == (outcome, ece, 0.3)


def test_without_a_calibration_it_was_not_measured_and_the_policy_accepts_that(registry, make):
    (check,) = check_calibration(setting_of(registry, make()))
    assert (check.outcome, check.refuses) == (CheckOutcome.NOT_MEASURED, False)
    assert check.reason == "not measured: the version has no calibration; the policy accepts that"
