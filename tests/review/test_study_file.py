from __future__ import annotations

import numpy as np
import pytest
from review_clients import one_report

from data_contracts import StoreError, map_name
from medkd.review import study_file
from medkd.review.shown import StudyArrays
from medkd.review.study_file import NAME, open_study_file, write_study_file

CAM = f"0/{map_name(1, 'student', 'grad_cam')}"


@pytest.fixture
def study():
    return one_report(0, lesions=2)


def written(tmp_path, report, arrays):
    return open_study_file(write_study_file(tmp_path / NAME, report, arrays))


def test_whole_values_are_kept_as_they_are(tmp_path, study):
    report, arrays = study
    found = written(tmp_path, report, arrays)
    assert found.shape == arrays.volume.shape
    assert np.array_equal(found.volume(), arrays.volume)
    assert np.array_equal(found.plane(0, 3), arrays.volume[3])
    assert np.array_equal(found.plane(1, 3), arrays.volume[:, 3])
    assert np.array_equal(found.plane(2, 3), arrays.volume[:, :, 3])
    for name, mask in arrays.masks().items():
        assert np.array_equal(found.mask(f"mask/{name}") > 0, mask), name
    assert np.array_equal(found.mask("0/region/2"), arrays.explained[0]["mask/2"])


@pytest.mark.parametrize("values", [np.linspace(-3.7, 11.2, 24), np.full(24, 0.5), np.array([np.nan, np.inf, *np.linspace(0, 1, 22)])])
def test_other_values_are_kept_within_a_step(tmp_path, values):
    report, _ = one_report(0, shape=(2, 3, 4))
    volume = values.reshape(2, 3, 4).astype(np.float32)
    found = written(tmp_path, report.model_copy(update={"explanations": (report.explanations[0].model_copy(update={"maps": (), "lesions": ()}),)}), StudyArrays(volume, ({},)))  # fmt: skip
    finite = np.isfinite(volume)
    assert np.abs(found.volume() - volume)[finite].max() <= np.ptp(volume[finite]) / 65535 + 1e-6


def test_maps_keep_their_scale_their_sum_and_their_planes(tmp_path, study):
    report, arrays = study
    found, genuine = written(tmp_path, report, arrays), arrays.explained[0][map_name(1, "student", "grad_cam")]
    assert found.limit(CAM) == pytest.approx(float(np.abs(genuine).max()))
    assert np.abs(found.map(CAM) - genuine).max() <= found.limit(CAM) * 0.01
    assert found.map(CAM).sum() == pytest.approx(float(genuine.sum()), rel=0.01)
    for axis in range(3):
        assert np.array_equal(found.map_plane(CAM, axis, 5), np.take(found.map(CAM), 5, axis))
    with pytest.raises(IndexError):
        found.map_plane(CAM, 0, 12)


def test_maps_that_make_a_file_large_are_kept_round_their_key_slice(tmp_path, study, monkeypatch):
    monkeypatch.setattr(study_file, "MOST_MAP_BYTES", 1000)
    monkeypatch.setattr(study_file, "REACH", 2)
    report, arrays = study
    found = written(tmp_path, report, arrays)
    genuine = arrays.explained[0][map_name(1, "student", "grad_cam")]
    assert list(found.kept(CAM)) == [2, 3, 4, 5, 6]
    assert found.limit(CAM) == pytest.approx(float(np.abs(genuine).max()))
    assert not found.map(CAM)[:2].any()
    assert not found.map_plane(CAM, 0, 7).any()
    assert np.array_equal(found.map_plane(CAM, 2, 13), found.map(CAM)[:, :, 13])


def test_what_is_no_number_is_shown_as_nothing_and_said(tmp_path, study):
    report, arrays = study
    kept = {**arrays.explained[0]}
    name = map_name(1, "student", "grad_cam")
    kept[name] = kept[name].copy()
    kept[name][4, 6, 13] = np.nan
    found = written(tmp_path, report, StudyArrays(arrays.volume, (kept,), arrays.label))
    assert found.about[CAM]["finite"] is False
    assert found.map(CAM)[4, 6, 13] == 0


def test_the_same_study_gives_the_same_bytes_and_a_large_one_little_beside_its_values(tmp_path, study):
    report, arrays = study
    one, other = (write_study_file(tmp_path / name, report, arrays).read_bytes() for name in ("a", "b"))
    assert one == other


@pytest.mark.parametrize("payload", [b"", b"x" * 7, b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}"])
def test_what_is_no_file_of_ours_is_refused(tmp_path, payload):
    (tmp_path / NAME).write_bytes(payload)
    with pytest.raises(StoreError, match="make the report again") as caught:
        open_study_file(tmp_path / NAME)
    assert caught.value.code == "STUDY_FILE"
    with pytest.raises(StoreError):
        open_study_file(tmp_path / "nowhere")
