from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from medkd.trace import Sample
from medkd.volumes.augment import draw_view


def batch(n=16):
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(n, 32, 32, dtype=torch.uint8)
    masks[:, 8:16, 4:12] = 1
    image = masks[:, None].float() * 1.5 - 1 + 0.01 * torch.rand(n, 1, 32, 32, generator=generator)
    return Sample(
        inputs={"image": image.clamp(-1, 1)}, labels=masks.long(), masks=masks, valid_mask=torch.ones(n, 32, 32, dtype=torch.bool)
    )


@pytest.mark.parametrize("kind", ["flip", "affine"])
def test_everything_on_the_grid_moves_together(kind):
    moved = draw_view(batch(), kind, torch.Generator().manual_seed(3))
    assert not torch.equal(moved.masks, batch().masks)
    bright = moved.image[:, 0] > (0.0 if kind == "flip" else -0.4)
    overlap = (bright & (moved.masks > 0)).sum() / (bright | (moved.masks > 0)).sum()
    assert float(overlap) > (0.999 if kind == "flip" else 0.85)
    inside = moved.labels >= 0
    assert torch.equal(moved.labels[inside], moved.masks.long()[inside])


def test_a_view_is_a_function_of_its_generator():
    first, second, other = (draw_view(batch(), "affine", torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.image, second.image)
    assert not torch.equal(first.image, other.image)


def test_what_comes_from_outside_is_not_valid_and_has_no_label():
    moved = draw_view(batch(), "affine", torch.Generator().manual_seed(3))
    assert bool((moved.valid_mask == 0).any())
    assert bool((moved.labels[~moved.valid_mask.bool()] == -1).all())


def test_none_changes_nothing_and_labels_of_cases_stay():
    sample = replace(batch(), labels=torch.arange(16))
    assert draw_view(sample, "none", torch.Generator()) is sample
    assert torch.equal(draw_view(sample, "affine", torch.Generator().manual_seed(0)).labels, torch.arange(16))
