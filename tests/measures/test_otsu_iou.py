"""Otsu's threshold by exhaustive search over all cuts; a bright lesion on a dark ground is found whole."""

import pytest
import torch

from medkd.measures.otsu_iou import otsu_iou


def by_search(values, mask):
    """Return the overlap at the cut that maximises the variance between the two parts."""
    flat = values.clamp_min(0).flatten().double()
    best, chosen = -1.0, None
    for cut in flat.unique()[:-1]:
        low, high = flat[flat <= cut], flat[flat > cut]
        between = len(low) * len(high) * float(low.mean() - high.mean()) ** 2
        if between > best:
            best, chosen = between, float(cut)
    bright = values > chosen
    return float((bright & mask).sum()) / float((bright | mask).sum())


def test_by_exhaustive_search():
    # 256 distinct levels: a histogram of 256 bins loses nothing.
    generator = torch.Generator().manual_seed(2)
    values = torch.randperm(256, generator=generator).reshape(1, 16, 16).float() / 255
    mask = values[0] > 0.7
    assert float(otsu_iou(values, mask[None])[0]) == pytest.approx(by_search(values[0], mask), abs=0.02)


def test_a_bright_lesion_is_found_whole_and_evidence_against_does_not_count():
    mask = torch.zeros(2, 6, 16, 16, dtype=torch.uint8)
    mask[:, 2:4, 5:9, 6:12] = 1
    prediction = mask.float() * 3 + 0.1 * torch.rand(2, 6, 16, 16)
    prediction[1, 0] = -50.0
    assert otsu_iou(prediction, mask).tolist() == [1.0, 1.0]


def test_a_map_that_only_speaks_against_is_undefined():
    assert bool(otsu_iou(-torch.rand(1, 4, 4), torch.ones(1, 4, 4)).isnan().all())
