"""Artefacts never touch the lesion, and controls change as much elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medkd.audit.acquisition import SETTINGS
from medkd.audit.marks import MARKS
from medkd.audit.put_in import AuditCase, put_in


def case(side=64, lesion=(30, 40), depth=0):
    generator = torch.Generator().manual_seed(0)
    shape = (depth, side, side) if depth else (side, side)
    image = (torch.rand(shape, generator=generator) * 0.5 - 0.5).float()
    mask, valid = torch.zeros(shape, dtype=torch.bool), torch.ones(shape, dtype=torch.bool)
    mask[..., lesion[0] : lesion[0] + 8, lesion[1] : lesion[1] + 8] = True
    valid[..., -6:, :] = False
    return AuditCase(image, mask, valid, "case")


@pytest.mark.parametrize("name", MARKS)
@pytest.mark.parametrize("lesion", [(30, 40), (3, 3), (44, 3)])
def test_a_mark_changes_real_pixels_outside_of_the_lesion_only(name, lesion):
    given = case(lesion=lesion)
    made = put_in(given, name)
    changed = made.image != given.image
    assert changed.any()
    assert not (changed & (given.lesion | ~given.valid)).any()
    assert made.place[changed].float().mean() > 0.3
    assert float(made.image.abs().max()) <= 1


@pytest.mark.parametrize("name", [*MARKS, *SETTINGS])
def test_a_control_has_the_energy_of_its_artefact(name):
    given = case()
    made = put_in(given, name)
    energies = [float((image - given.image).square().sum()) for image in (made.image, made.control)]
    assert made.energy == pytest.approx(energies[1] / energies[0], rel=1e-3)
    assert 0.7 <= made.energy <= 1.01


@pytest.mark.parametrize("name", MARKS)
def test_the_control_of_a_mark_lies_elsewhere_than_mark_and_lesion(name):
    given = case()
    made = put_in(given, name)
    moved = made.control != given.image
    assert not (moved & (made.place | given.lesion | ~given.valid)).any()


def test_a_control_leaves_a_lesion_alone_however_large_it_is():
    given = case()
    given.lesion[6:56, 4:60] = True
    for name in ("frame", "grey_bar"):
        made = put_in(given, name)
        assert not ((made.control != given.image) & (made.place | given.lesion)).any()


def test_the_same_case_gets_the_same_artefact():
    for name in ("noise", "text"):
        first, second = put_in(case(), name), put_in(case(), name)
        assert torch.equal(first.image, second.image)
        assert torch.equal(first.control, second.control)


def test_a_volume_carries_a_mark_on_every_slice_outside_the_lesion_of_all_of_them():
    given = case(depth=3)
    given.lesion[0] = False
    made = put_in(given, "text")
    assert all((made.image[index] != given.image[index]).any() for index in range(3))
    assert not ((made.image != given.image) & given.lesion.any(0)).any()
    assert put_in(given, "spacing").image.shape == given.image.shape


def test_values_that_were_standardised_keep_their_range():
    given = case()
    stretched = AuditCase(given.image * 4 + 3, given.lesion, given.valid, "case")
    low, high = stretched.value_range()
    assert np.percentile(stretched.image[stretched.valid], 99) <= high <= float(stretched.image.max())
    assert float(put_in(stretched, "round_marker").image.max()) == pytest.approx(max(high, float(stretched.image.max())), rel=0.01)
    assert low < high
