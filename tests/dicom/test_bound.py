"""Where structures overlap the smaller one wins, and none vanishes without a word."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import Action, IngestCode, IngestPolicy
from tests.dicom.drawn import Ingested, draw_segmentation, draw_series

BIG = np.zeros((8, 20, 24), bool)
BIG[1:7, 2:16, 3:20] = True
SMALL = np.zeros((8, 20, 24), bool)
SMALL[3:5, 4:9, 6:12] = True


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "study"


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1), (9, 4)])
def test_the_smaller_segment_wins_whatever_its_number(folder, numbers):
    series = draw_series(folder / "ct")
    big, small = numbers
    draw_segmentation(folder / "seg.dcm", series, {big: BIG, small: SMALL}, {big: "Liver", small: "Tumor"}, listed=[series])
    assert Ingested(folder).structures() == {"Liver": int(BIG.sum() - SMALL.sum()), "Tumor": int(SMALL.sum())}


def test_of_three_structures_within_one_another_each_smaller_one_wins(folder):
    series = draw_series(folder / "ct")
    inmost = np.zeros_like(SMALL)
    inmost[3, 5, 7:9] = True
    draw_segmentation(folder / "seg.dcm", series, {1: inmost, 2: BIG, 3: SMALL}, {1: "Necrosis", 2: "Liver", 3: "Tumor"}, listed=[series])
    assert Ingested(folder).structures() == {
        "Necrosis": 2,
        "Liver": int(BIG.sum() - SMALL.sum()),
        "Tumor": int(SMALL.sum()) - 2,
    }


def test_lost_structures_can_be_refused_and_an_empty_segment_is_one(folder):
    series = draw_series(folder / "ct")
    empty = np.zeros_like(SMALL)
    draw_segmentation(folder / "seg.dcm", series, {1: SMALL, 2: empty}, {1: "Liver", 2: "Spleen"}, listed=[series])
    assert Ingested(folder).outcome("seg.dcm").findings == (IngestCode.STRUCTURE_LOST,)
    strict = IngestPolicy(actions={IngestCode.STRUCTURE_LOST: Action.REJECT})
    refused = Ingested(folder, strict, out="strict").outcome("seg.dcm")
    assert refused.code is IngestCode.STRUCTURE_LOST
    assert "Spleen" in refused.evidence
