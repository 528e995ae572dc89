from __future__ import annotations

import numpy as np

from data_contracts import DisplayRule, PictureGrid
from medkd.cohorts.dicom_pictures import frames_as_cases, keep_pictures
from medkd.storage.store import Store
from medkd.volumes.letterbox import letterbox
from tests.dicom.invented import volume

SHOWN = np.random.default_rng(0).integers(0, 256, (2, 20, 40), dtype=np.uint8)


def picture(frames, name="one"):
    grid = PictureGrid(shape=(frames, 20, 40), laterality="L", view="CC", display=DisplayRule())
    return volume(name).model_copy(update={"geometry": grid, "modality": "MG", "unit": "raw"})


def test_every_frame_is_a_case_of_the_picture_brought_to_size(tmp_path):
    marked = np.zeros(SHOWN.shape, np.uint8)
    marked[1, 4:12, 8:24] = 1
    made = frames_as_cases(picture(2), SHOWN, marked, None, label=1, size=(10, 24))
    cases = keep_pictures(made, Store(tmp_path), "cohorts/x")
    assert [case.case_key for case in cases] == [f"{picture(2).series_key}.{frame}" for frame in (0, 1)]
    arrays = Store(tmp_path).read_tensors(cases[0].image)
    for row, frame in enumerate(SHOWN):
        image, valid = letterbox(frame, (10, 24))
        assert np.array_equal(arrays["images"][row], image)
        assert np.array_equal(arrays["valid"][row], valid)
    assert arrays["masks"].sum((1, 2)).tolist() == [0, 4 * 8]
    assert {(case.label, case.geometry, case.modality, case.patient_key) for case in cases} == {(1, None, "MG", picture(2).patient_key)}
    assert cases[0].attributes == {"laterality": "L", "view": "CC"}
    assert cases[0].pixel_sha256 != cases[1].pixel_sha256


def test_a_picture_of_one_frame_keeps_its_key_and_pixels_that_were_not_measured_are_left_out(tmp_path):
    synthetic = np.zeros((1, 20, 40), np.uint8)
    synthetic[0, :10] = 1
    (made,) = frames_as_cases(picture(1), SHOWN[:1], None, synthetic, label=0, size=(20, 40))
    (case,) = keep_pictures([made], Store(tmp_path), "cohorts/x")
    assert case.case_key == picture(1).series_key
    assert case.mask is None
    valid = Store(tmp_path).read_tensors(case.image)["valid"][0]
    assert (valid[:10].sum(), int(valid[10:].min())) == (0, 1)


def test_pictures_of_more_than_8_bits_are_kept_in_full(tmp_path):
    made = [
        one
        for name, shown in (("a", SHOWN[:1]), ("b", SHOWN[1:].astype(np.float32) + 0.25))
        for one in frames_as_cases(picture(1, name), shown, None, None, label=0, size=(20, 40))
    ]
    arrays = Store(tmp_path).read_tensors(keep_pictures(made, Store(tmp_path), "cohorts/x")[0].image)
    np.testing.assert_allclose(arrays["images"].numpy(), np.stack([SHOWN[0], SHOWN[1] + 0.25]))


def test_classes_of_a_label_map_stay_apart():
    marked = np.zeros((1, 20, 40), np.uint8)
    marked[0, :10, :20], marked[0, 10:, 20:] = 1, 3
    (made,) = frames_as_cases(picture(1), SHOWN[:1], marked, None, label=None, size=(10, 20))
    assert sorted(np.unique(made.mask).tolist()) == [0, 1, 3]
    assert made.mask[:5, :10].min() == 1
    assert made.mask[5:, 10:].min() == 3
