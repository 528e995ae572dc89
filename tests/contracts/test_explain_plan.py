from __future__ import annotations

import pytest

from data_contracts import Explain, Shift


def test_class_maps_are_made_where_nothing_else_is_asked():
    asked = Explain()
    assert [entry.name for entry in asked.explainers] == ["cam"]
    assert asked.randomisation
    assert (asked.measures, asked.shift) == ((), None)


@pytest.mark.parametrize("fields", [{"kind": "rotation", "strength": 1.0}, {"kind": "noise", "strength": 0.0}, {"kind": "noise"}])
def test_another_acquisition_is_one_of_three_and_changes_something(fields):
    with pytest.raises(ValueError, match="validation error"):
        Shift(**fields)


def test_at_least_one_case_is_explained():
    with pytest.raises(ValueError, match="cases"):
        Explain(cases=0)
