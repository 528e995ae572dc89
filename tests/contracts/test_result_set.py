from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from data_contracts import ReadBack, ResultSet, read_record

GOLDEN = Path(__file__).parent / "golden" / "result_set_1.json"


def test_a_certificate_names_each_reader_of_each_object():
    found = read_record(GOLDEN.read_bytes(), ResultSet)
    assert {one.file for one in found.certificate} == {one.file for one in found.objects}
    assert [one.reader for one in found.certificate] == ["dciodvfy 20260927", "dcmqi 1.5.7"]


@pytest.mark.parametrize("wrong", [{"errors": -1}, {"voxels_differing": -1}, {"worst_centroid_mm": float("nan")}])
def test_what_cannot_be_counted_is_refused(wrong):
    with pytest.raises(ValidationError):
        ReadBack(file="a.dcm", reader="dcmqi 1", **wrong)
