from __future__ import annotations

import numpy as np
import pytest

from data_contracts import DataError, Geometry
from medkd.results import readers
from medkd.results.certify import certify_map, certify_segments

GEOMETRY = Geometry(
    shape=(3, 8, 8),
    affine_lps_mm=((0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0), (5.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
    spacing_mm=(5.0, 1.0, 1.0),
    residual_mm=0.0,
)


@pytest.fixture
def labels():
    found = np.zeros(GEOMETRY.shape, np.uint8)
    found[1, 2:6, 2:6] = 1
    return found


def reading(monkeypatch, what, by_dcmqi, by_position):
    monkeypatch.setattr(readers, f"read_{what}_dcmqi", lambda *_: by_dcmqi)
    monkeypatch.setattr(readers, f"read_{what}_by_position", lambda *_: by_position)


def test_what_both_readers_find_is_certified(monkeypatch, labels, tmp_path):
    reading(monkeypatch, "segments", labels, labels)
    found = certify_segments(tmp_path / "a.dcm", labels, GEOMETRY)
    assert [(one.voxels, one.voxels_differing, one.worst_centroid_mm) for one in found] == [(192, 0, 0.0)] * 2


@pytest.mark.parametrize("who", ["dcmqi", "pydicom"])
def test_one_voxel_that_one_reader_finds_elsewhere_is_too_many(monkeypatch, labels, tmp_path, who):
    other = labels.copy()
    other[1, 2, 2], other[1, 6, 6] = 0, 1  # as many voxels, nearly the same centre
    reading(monkeypatch, "segments", *((other, labels) if who == "dcmqi" else (labels, other)))
    with pytest.raises(DataError, match=rf"expected every voxel of a\.dcm from {who} .*, 2 of 192 differ \(centroid 0\.354 mm") as caught:
        certify_segments(tmp_path / "a.dcm", labels, GEOMETRY)
    assert caught.value.code == "RESULT_DIFFERS"


def test_a_segment_that_is_lost_differs(monkeypatch, labels, tmp_path):
    reading(monkeypatch, "segments", np.zeros_like(labels), labels)
    with pytest.raises(DataError, match="16 of 192 differ"):
        certify_segments(tmp_path / "a.dcm", labels, GEOMETRY)


def test_a_map_is_the_same_to_the_bit_or_differs(monkeypatch, tmp_path):
    values = np.random.default_rng(0).normal(size=GEOMETRY.shape).astype(np.float32)
    near = values.copy()
    near[0, 0, 0] = np.nextafter(near[0, 0, 0], np.float32(np.inf))
    reading(monkeypatch, "map", values, values)
    assert len(certify_map(tmp_path / "m.dcm", values, GEOMETRY)) == 2
    for wrong in (near, np.where(values == values[1, 1, 1], np.nan, values)):
        reading(monkeypatch, "map", values, wrong)
        with pytest.raises(DataError, match="1 of 192 differ"):
            certify_map(tmp_path / "m.dcm", values, GEOMETRY)
