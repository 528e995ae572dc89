from __future__ import annotations

import pytest

from data_contracts import NetworkSpec, Task


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
