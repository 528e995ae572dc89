from __future__ import annotations

import pytest

from data_contracts import DataError, NetworkSpec, Task, require_one_image


def task(**changes):
    return Task(**({"kind": "segmentation", "classes": ("background", "lesion")} | changes))


@pytest.mark.parametrize(("size", "dims"), [((64, 64), 2), ((16, 64, 64), 3)])
def test_two_extents_are_a_picture_and_three_a_volume(size, dims):
    assert task(image_size=size).spatial_dims == dims


@pytest.mark.parametrize(("size", "flips"), [((64, 64), (2,)), ((64, 64), (-1,)), ((16, 64, 64), (0, 0)), ((64, 64), (0, 1, 0))])
def test_flips_are_axes_of_the_image_each_once(size, flips):
    with pytest.raises(ValueError, match=f"expected different axes below {len(size)}"):
        task(image_size=size, test_time_flips=flips)


def test_every_axis_may_be_flipped():
    assert task(image_size=(16, 64, 64), test_time_flips=(0, 1, 2)).test_time_flips == (0, 1, 2)


@pytest.mark.parametrize("changes", [{"classes": ("lesion",)}, {"overlap": 1.0}, {"window": (0.0, float("nan"))}])
def test_a_task_that_cannot_be_is_refused(changes):
    with pytest.raises(ValueError, match="validation error"):
        task(**changes)


@pytest.mark.parametrize("ratio", [0.0, 1.5])
def test_a_share_of_ranks_is_above_nothing_and_at_most_all(ratio):
    with pytest.raises(ValueError, match="rank_ratio"):
        NetworkSpec(builder="unet", rank_ratio=ratio)


TWO = task(kind="classification", classes=("no", "yes"), channels=("t1", "t2"), clinical=("age",))


def test_a_network_gets_its_images_and_then_its_row():
    assert TWO.input_names == ("t1", "t2", "age", "age is missing")
    assert (TWO.in_channels, TWO.row_channels) == (4, 2)
    assert (task().input_names, task().in_channels, task().row_channels) == (("image",), 1, 0)


def test_a_network_that_sees_less_keeps_the_order_and_knows_its_places():
    own = TWO.seen_through(("age", "t2"))
    assert (own.channels, own.clinical) == (("t2",), ("age",))
    assert own.places_in(TWO) == (1, 2, 3)
    assert TWO.seen_through(("t1",)).seeing_also(own).input_names == TWO.input_names
    assert TWO.seeing_also(TWO) is TWO
    # The only image of a case is that image, whatever it is called.
    assert TWO.seen_through(("t2",)).places_in(task()) == (0,)
    assert task().places_in(TWO.seen_through(("t2",))) == (0,)
    with pytest.raises(DataError, match="'t2' is not among") as caught:
        own.places_in(TWO.seen_through(("t1", "age")))
    assert caught.value.code == "TASK_INPUTS"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"channels": ("t1", "t1")}, "different names"),
        ({"channels": ("",)}, "different names"),
        ({"kind": "classification", "clinical": ("image",)}, "different names"),
        ({"clinical": ("age",)}, "beside a classification"),
    ],
)
def test_inputs_that_cannot_be_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        task(**changes)


def test_what_has_one_image_refuses_a_network_of_more():
    require_one_image(task(), "a study")
    require_one_image(TWO.seen_through(("t2",)), "a study")
    with pytest.raises(DataError, match="for a study, this one sees t1, t2, age") as caught:
        require_one_image(TWO, "a study")
    assert caught.value.code == "TASK_INPUTS"
    assert "channels" not in task().model_dump()
    assert Task.model_validate_json(TWO.canonical_json()) == TWO
