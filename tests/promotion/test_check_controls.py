"""A gain that a control shows too is refused."""

from __future__ import annotations

from dataclasses import replace

from data_contracts import CheckOutcome
from medkd.promotion.check_controls import check_controls
from medkd.promotion.version_records import read_version
from tests.promotion.versions import by_name, setting_of


def test_a_control_that_does_as_well_refuses_the_gain(registry, make):
    new, same, worse = make(dice=0.8), make(name="r-kd__random_teacher", dice=0.8), make(name="r-kd__shuffled", dice=0.7)
    setting = setting_of(registry, new)
    controls = {one.name: read_version(registry, one.uri) for one in (same, worse)}
    checks = by_name(check_controls(replace(setting, controls=controls)))
    assert checks["r-kd__random_teacher"].outcome is CheckOutcome.FAILS
    assert checks["r-kd__shuffled"].outcome is CheckOutcome.HOLDS
    (check,) = check_controls(setting)
    assert check.outcome is CheckOutcome.NOT_APPLICABLE
