"""What was compared once is not decoded again, in whichever order it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import IngestCode, IngestPolicy
from medkd.dicom.comparison_cache import ComparisonCache
from medkd.dicom.ingest_cache import IngestCache
from tests.dicom.invented import found, header, slice_at


@pytest.fixture
def cache(tmp_path):
    return IngestCache(tmp_path / "store", IngestPolicy())


def test_a_comparison_is_made_once_in_whichever_order(cache, tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(np.arange(24, dtype="<i2").tobytes())
    first, second = (slice_at(0, name=str(tmp_path / name)) for name in "ab")
    comparisons = ComparisonCache(cache)
    assert comparisons.same_slice(first, second)
    assert comparisons.decoded == 2
    (tmp_path / "b").unlink()
    assert comparisons.same_slice(second, first)
    assert ComparisonCache(cache).same_slice(first, second)
    assert comparisons.decoded == 2


def test_a_look_up_table_is_said_beside_pixels_that_cannot_be_decoded(cache):
    comparisons = ComparisonCache(cache)
    file = found("nowhere", header(ModalityLUTSequence=[]))
    wanted = {IngestCode.DECODE_FAILED, IngestCode.NONLINEAR_LUT}
    assert comparisons.faults_of_pixels(file) == comparisons.faults_of_pixels(file) == wanted
    assert comparisons.decoded == 1


def test_what_is_no_image_has_no_faults_of_pixels(cache):
    assert ComparisonCache(cache).faults_of_pixels(found("a", header(Rows=None))) == set()
    assert ComparisonCache(cache).faults_of_pixels(found("a", header(), pixels=None)) == set()
