from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import CaseResults, CaseUnits, read_record

GOLDEN = Path(__file__).parent / "golden" / "case_results_1.json"
UNITS = {"case_keys": ("c0", "c1"), "patient_keys": ("p0", "p0"), "labels": (0, None), "lesion_voxels": (None, 9)}


@pytest.fixture
def results():
    return read_record(GOLDEN.read_bytes(), CaseResults)


@pytest.mark.parametrize("name", ["patient_keys", "labels", "lesion_voxels"])
def test_a_column_has_a_value_for_each_case(name):
    with pytest.raises(ValueError, match=rf"expected a value for each of 2 cases, got {{'{name}': 1}}"):
        CaseUnits(**{**UNITS, name: UNITS[name][:1]})


def test_a_subgroup_column_has_a_value_for_each_case_too():
    assert CaseUnits(**UNITS, attributes={"device": ("a", "")}).attributes["device"] == ("a", "")
    with pytest.raises(ValueError, match=r"got {'device': 3}"):
        CaseUnits(**UNITS, attributes={"device": ("a", "b", "c")})


def test_a_quantity_may_be_of_the_first_cases_only_and_undefined_for_some(results):
    values = {"test/dice": (0.5, None, 1.0), "test/agreement": (1.0,), "test/none": ()}
    assert CaseResults.model_validate({**results.model_dump(), "values": values}).values == values


@pytest.mark.parametrize("values", [{"debiased/dice": (0.5,)}, {"dice": (0.5,)}, {"test/dice": (0.1, 0.2, 0.3, 0.4)}])
def test_values_of_cases_that_nobody_named_are_refused(results, values):
    with pytest.raises(ValueError, match=rf"expected values of the cases of {{'test': 3}}, got \d of '{next(iter(values))}'"):
        CaseResults.model_validate({**results.model_dump(), "values": values})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_is_a_number_or_undefined(results, value):
    with pytest.raises(ValueError, match="finite"):
        CaseResults.model_validate({**results.model_dump(), "values": {"test/dice": (value,)}})


def test_quantities_are_left_out_by_their_name_on_every_test(results):
    values = {"test/dice": (0.5,), "test/dice_to_teacher": (0.5,), "test/agreement": (1.0,), "test/agreement_lesion": (1.0,)}
    full = CaseResults.model_validate({**results.model_dump(), "values": values})
    assert set(full.without("agreement", "dice_to_teacher").values) == {"test/dice"}
