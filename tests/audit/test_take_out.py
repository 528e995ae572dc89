"""Marks taken out, and as much painted over elsewhere."""

from __future__ import annotations

import pytest
import torch

from medkd.audit.put_in import AuditCase
from medkd.audit.take_out import take_out


def test_the_control_is_painted_at_the_mirrored_place_and_nowhere_else():
    image = torch.rand(32, 40, generator=torch.Generator().manual_seed(0)) - 0.5
    valid = torch.ones(32, 40, dtype=torch.bool)
    valid[:, 36:] = False
    painted = image.clone()
    painted[4:8, 2:6] = 0.9
    taken = take_out(AuditCase(image, torch.zeros_like(valid), valid, "c"), painted)
    assert torch.equal(taken.image, painted)
    assert taken.place.sum() == 16
    moved = (taken.control != image).nonzero()
    assert (moved[:, 0].min(), moved[:, 0].max()) == (4, 7)
    assert (moved[:, 1].min(), moved[:, 1].max()) == (30, 33)
    expected = float((taken.control - image).square().sum() / (painted - image).square().sum())
    assert taken.energy == pytest.approx(expected)
