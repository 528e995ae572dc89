from __future__ import annotations

import numpy as np
import pytest

from data_contracts import DataError
from medkd.explanation.artefact import read_explanation
from medkd.results import readers


@pytest.fixture
def published(written_study):
    folder, _, place = written_study
    record, arrays = read_explanation(folder)
    return record.volume.geometry, place, arrays


def test_both_readers_find_the_lesions_where_the_model_marked_them(published):
    geometry, place, arrays = published
    marked = arrays["segmentation/student"].numpy() > 0
    for read in (readers.read_segments_dcmqi, readers.read_segments_by_position):
        for name in ("segmentation.dcm", "labelmap.dcm"):
            assert ((read(place / name, geometry) > 0) == marked).all()


@pytest.mark.parametrize("read", [readers.read_segments_dcmqi, readers.read_segments_by_position])
def test_what_lies_beside_the_voxels_of_the_volume_is_refused(published, read):
    geometry, place, _ = published
    affine = np.array(geometry.affine_lps_mm)
    affine[:3, 3] += affine[:3, 0] * 0.3
    moved = geometry.model_copy(update={"affine_lps_mm": tuple(map(tuple, affine.tolist()))})
    with pytest.raises(DataError) as caught:
        read(place / "segmentation.dcm", moved)
    assert caught.value.code == "RESULT_PLACE"


def test_what_is_no_object_is_refused_by_each(published, tmp_path):
    geometry, _, _ = published
    (tmp_path / "x.dcm").write_bytes(b"nothing" * 100)
    with pytest.raises(DataError) as caught:
        readers.read_map_dcmqi(tmp_path / "x.dcm", geometry)
    assert caught.value.code == "RESULT_UNREADABLE"
    assert readers.validate(tmp_path / "x.dcm")[0] > 0
