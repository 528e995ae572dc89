from __future__ import annotations

import pytest
import torch
from monai.metrics import compute_surface_dice

from medkd.measures.surface_dice import surface_dice


def blobs(seed, shape=(20, 22, 18)):
    noise = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.avg_pool3d(noise, 7, stride=1, padding=3) > 0.02).to(torch.uint8)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, 3.0])
def test_it_is_monais_where_both_structures_are_there(tolerance):
    first, second = blobs(0), blobs(1)
    monai = compute_surface_dice(first, second, [tolerance], include_background=True, spacing=(1.0, 1.0, 1.0))
    assert float(surface_dice(first[0], second[0], spacing_mm=(1.0, 1.0, 1.0), tolerance_mm=tolerance)) == pytest.approx(
        float(monai), abs=1e-6
    )


def test_a_shift_within_the_tolerance_is_no_difference():
    first = torch.zeros(1, 20, 20)
    first[0, 5:15, 5:15] = 1
    moved = first.roll(1, dims=2)
    assert float(surface_dice(first, moved, spacing_mm=(1.0, 0.9))) == 1.0
    assert float(surface_dice(first, moved, spacing_mm=(1.0, 1.1))) < 1.0


def test_the_conventions_for_empty_masks():
    full, empty = torch.ones(1, 3, 4), torch.zeros(1, 3, 4)
    assert float(surface_dice(empty, full)) == 0.0
    assert bool(surface_dice(empty, empty).isnan().all())
