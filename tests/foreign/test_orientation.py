"""Axes of a source's arrays beside medkd's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from nibabel import orientations

from medkd.foreign.orientation import axes_and_flips, in_our_order
from medkd.models._conv_unet import SeenImage

EVERY = [
    "".join(letters[axis] for letters, axis in zip(signs, order, strict=True))
    for order in itertools.permutations(range(3))
    for signs in itertools.product(["RAS", "LPI"], repeat=3)
]


@pytest.mark.parametrize("pointing", EVERY)
def test_an_image_is_turned_as_nibabel_turns_it_and_back(pointing):
    axes, flips = axes_and_flips(pointing)
    seen = SeenImage(axes=axes, flips=flips)
    values = np.arange(24.0).reshape(2, 3, 4)
    turn = orientations.ornt_transform(orientations.axcodes2ornt("SAR"), orientations.axcodes2ornt(pointing))
    expected = orientations.apply_orientation(values, turn)
    image = torch.from_numpy(values)[None, None]
    assert np.array_equal(seen.to_network(image)[0, 0].numpy(), expected)
    assert torch.equal(seen.to_image(seen.to_network(image)), image)
    assert in_our_order(expected.shape, axes) == [2, 3, 4]


def test_our_own_order_is_nothing_to_do():
    assert axes_and_flips("SAR") == ((), ())
    assert not SeenImage().moves
