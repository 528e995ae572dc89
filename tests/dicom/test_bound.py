"""Where structures overlap the smaller one wins, and none vanishes without a word."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import Action, IngestCode, IngestError, IngestPolicy, Segment
from medkd.dicom.findings import Findings
from medkd.dicom.labels.bound import combine, paint, paint_order, said_names
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


def line(*places):
    mask = np.zeros((1, 1, 6), bool)
    mask[0, 0, list(places)] = True
    return mask


def test_the_largest_is_painted_first_and_of_equals_the_lower_rank():
    assert paint_order({1: 5, 2: 9, 3: 5}, {1: "b", 2: "a", 3: "a"}) == [2, 3, 1]


def test_painting_counts_what_each_took_from_which():
    owner, overlaps = paint({1: line(0, 1, 2, 3), 2: line(3, 4), 3: line(3)}, [1, 2, 3])
    assert owner.ravel().tolist() == [1, 1, 1, 3, 2, 0]
    assert overlaps == [(2, 1, 1), (3, 2, 1)]


def test_two_that_share_a_name_are_told_apart_by_their_values():
    assert said_names([Segment(value=1, name="x"), Segment(value=4, name="x"), Segment(value=2, name="y")]) == {
        1: "x (value 1)", 4: "x (value 4)", 2: "y"
    }  # fmt: skip


def test_a_label_of_any_number_of_voxels_but_none():
    segments = (Segment(value=1, name="a"), Segment(value=2, name="b"))
    findings = Findings(IngestPolicy())
    label = combine({1: line(0, 1), 2: line()}, segments, 0.0, findings)
    assert [segment.voxels for segment in label.segments] == [2, 0]
    assert label.flags == (IngestCode.STRUCTURE_LOST,)
    with pytest.raises(IngestError) as caught:
        combine({1: line(), 2: line()}, segments, 0.0, findings)
    assert caught.value.ingest_code is IngestCode.EMPTY_LABEL


@pytest.mark.parametrize("value", [0, 256])
def test_a_value_that_a_label_map_cannot_hold_is_refused(value):
    with pytest.raises(IngestError) as caught:
        combine({value: line(0)}, (), 0.0, Findings(IngestPolicy()))
    assert caught.value.ingest_code is IngestCode.LABEL_UNSUPPORTED
