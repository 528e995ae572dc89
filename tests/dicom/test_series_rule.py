"""A volume is what a rule asks for, or it is not, by what is said of its series."""

from __future__ import annotations

import pytest

from data_contracts import PictureGrid, SeriesRecord, SeriesRule
from medkd.dicom.series_rule import fits, has_coordinates
from tests.dicom.invented import volume

VOLUME = volume("one").model_copy(update={"modality": "MR"})
SAID = SeriesRecord(
    patient_key=VOLUME.patient_key, study_key=VOLUME.study_key, series_key=VOLUME.series_key, frame_of_reference_key=None, modality="MR", slices=3,
    acquisition="T1, spin echo, TE 4.6 ms, with contrast", coordinates={"EchoTime": 4.6, "Part": "2"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, True),
        ({"modality": "MR"}, True),
        ({"modality": "CT"}, False),
        ({"words": ["t1"]}, True),
        ({"words": [" Spin Echo ", "WITH CONTRAST"]}, True),
        ({"words": ["T1", "T2"]}, False),
        ({"words": ["spin"]}, False),  # a word is what stands between commas, whole
        ({"words": ["TE 4.6 ms"]}, True),
        ({"without": ["T2"]}, True),
        ({"without": ["T2", "with contrast"]}, False),
        ({"words": ["T1"], "without": ["T1"]}, False),
        ({"coordinates": {"EchoTime": 4.60001}}, True),
        ({"coordinates": {"EchoTime": 4.7}}, False),
        ({"coordinates": {"Part": "2", "EchoTime": 4.6}}, True),
        ({"coordinates": {"DiffusionBValue": 0}}, False),
    ],
)
def test_all_that_is_asked_must_be_so(rule, expected):
    assert fits(SeriesRule.model_validate(rule), VOLUME, SAID) is expected


def test_of_a_series_that_nothing_is_said_of_only_the_modality_is_known():
    assert fits(SeriesRule(modality="MR", without=("T1",)), VOLUME, None)
    assert not fits(SeriesRule(words=("T1",)), VOLUME, None)


@pytest.mark.parametrize(
    ("stated", "wanted", "expected"),
    [
        ({"A": (1.0, 0.0, 0.0)}, {"A": (1.0, 0.0, 0.000001)}, True),
        ({"A": (1.0, 0.0, 0.0)}, {"A": (0.0, 1.0, 0.0)}, False),
        ({"A": (1.0, 0.0, 0.0)}, {"A": 1.0}, False),
        ({"A": "1"}, {"A": 1.0}, False),
        ({"A": "x"}, {"A": "x"}, True),
        ({}, {}, True),
        ({}, {"A": 1.0}, False),
    ],
)
def test_coordinates_are_the_same_to_five_digits(stated, wanted, expected):
    assert has_coordinates(stated, wanted) is expected


def test_a_picture_has_no_place_in_the_patient_and_is_no_image_of_several():
    assert not fits(SeriesRule(), VOLUME.model_copy(update={"geometry": PictureGrid(shape=(1, 5, 6))}), SAID)
