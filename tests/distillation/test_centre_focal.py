"""Against the formula written out cell by cell."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from medkd.distillation.centre_focal import centre_focal
from tests.distillation.cells import labelled, traced


def by_hand(score, heat, lesions):
    total = 0.0
    for p, y in zip(score.flatten().tolist(), heat.flatten().tolist(), strict=True):
        total += -((1 - p) ** 2) * math.log(p) if y == 1 else -((1 - y) ** 4) * p**2 * math.log(1 - p)
    return total / max(1, lesions)


def bump():
    """Return the heat of the lesion: centre at row 6, column 11, that is (1.5, 2.75) in cells; a sixth of 1 x 1.5 cells is less than half a cell."""
    rows, columns = torch.meshgrid(torch.arange(4) + 0.5, torch.arange(4) + 0.5, indexing="ij")
    heat = torch.exp(-0.5 * (((rows - 1.5) / 0.5) ** 2 + ((columns - 2.75) / 0.5) ** 2))
    heat[1, 2] = 1.0
    return heat


def test_it_is_the_formula():
    logits = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    score = torch.sigmoid(logits[:, 1] - logits[:, 0])
    assert float(centre_focal(traced(logits), None, labelled())) == pytest.approx(by_hand(score, bump(), 1), rel=1e-5)


def test_a_case_without_lesions_pays_for_what_it_finds_and_one_without_labels_for_nothing():
    logits = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    score = torch.sigmoid(logits[:, 1] - logits[:, 0])
    empty = replace(labelled(), labels=torch.zeros(1, 16, 16, dtype=torch.int64))
    assert float(centre_focal(traced(logits), None, empty)) == pytest.approx(by_hand(score, torch.zeros(4, 4), 0), rel=1e-5)
    assert float(centre_focal(traced(logits), None, labelled(missing=True))) == 0


def test_cells_that_were_padded_do_not_count():
    logits = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(1, 16, 16, dtype=torch.bool)
    valid[:, 12:] = False
    wild = logits.clone()
    wild[:, 1, 3] = 30.0
    sample = replace(labelled(), valid_mask=valid)
    assert float(centre_focal(traced(wild), None, sample)) == pytest.approx(float(centre_focal(traced(logits), None, sample)))
    assert float(centre_focal(traced(wild), None, labelled())) > 10
