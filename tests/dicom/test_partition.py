"""Parts of a group are called by what tells them apart, and lie in the order of its values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medkd.dicom.partition import further_attributes, is_regular, named_part, named_parts, part_by, part_name, sorted_along_normal
from tests.dicom.invented import group_of, slice_at


def timed(*times):
    return group_of([slice_at(z, TemporalPositionIdentifier=time, name=f"{time}-{z}") for time in times for z in (0, 2, 4)])


def test_parts_lie_in_the_order_of_numbers_and_not_of_text():
    group = timed(10, 2)
    parts = named_parts(group, "TemporalPositionIdentifier", part_by(group, "TemporalPositionIdentifier"))
    assert [part.acquisition_key for part in parts] == ["TemporalPositionIdentifier=2", "TemporalPositionIdentifier=10"]
    assert [len(part.slices) for part in parts] == [3, 3]


def test_slices_that_state_nothing_are_a_part_of_their_own():
    group = group_of([slice_at(0, EchoTime=5), slice_at(2)])
    assert {value: len(part) for value, part in part_by(group, "EchoTime").items()} == {"5": 1, "": 1}


def test_a_part_of_a_part_has_both_names_and_the_repeats_at_its_places():
    group = group_of([slice_at(0), slice_at(2), slice_at(2, name="repeat", SOPInstanceUID="1.9")])
    first, second, repeat = group.slices
    group = replace(group, slices=(first, second), aside=(repeat,))
    part = named_part(named_part(group, [first, second], "EchoTime=5"), [second], "FlipAngle=9")
    assert part.acquisition_key == "EchoTime=5; FlipAngle=9"
    assert part.aside == (repeat,)
    assert named_part(group, [first], "EchoTime=5").aside == ()


def test_a_direction_is_named_with_its_b_value():
    item = slice_at(0, DiffusionBValue=1000.0, DiffusionGradientOrientation=[1.0, 0.0, 0.0])
    assert part_name("DiffusionGradientOrientation", "1\\0\\0", item) == "DiffusionBValue=1000.0; DiffusionGradientOrientation=1\\0\\0"
    assert part_name("EchoTime", "5", item) == "EchoTime=5"


def test_what_else_differs_is_listed_with_times_last():
    items = [slice_at(0, SeriesTime="101112", ProtocolName="a"), slice_at(0, SeriesTime="101113", ProtocolName="b", EchoTime=5)]
    assert further_attributes([items]) == ["ProtocolName", "SeriesTime"]


def test_slices_are_sorted_along_their_normal_and_those_of_one_place_stay_in_order():
    items = [slice_at(z, name=str(number)) for number, z in enumerate((4, 0, 4, 2))]
    order, projections = sorted_along_normal(items)
    assert order == [1, 3, 0, 2]
    assert projections.tolist() == [0, 2, 4, 4]


@pytest.mark.parametrize(
    ("places", "regular"),
    [([0, 2, 4, 6], True), ([0, 2, 4.03, 6], True), ([0, 2, 4.3, 6], False), ([0, 2], False), ([0, 2, 2, 4], False), ([0, 2, 6, 8], False)],
)
def test_a_stack_is_regular_where_its_steps_are_equal(places, regular):
    assert is_regular(np.array(places, dtype=float)) is regular
