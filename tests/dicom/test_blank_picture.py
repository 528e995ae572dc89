from __future__ import annotations

import numpy as np
import pytest

from data_contracts import Action, IngestCode, IngestError, IngestPolicy
from medkd.dicom.blank_picture import blanked_pixels, outside_regions
from medkd.dicom.findings import Findings
from medkd.phantom.dicom_pictures import ultrasound_region
from tests.dicom.invented import header
from tests.dicom.published import picture

PLAIN, WRITTEN = picture(text="", shape=(80, 240))[None], picture(shape=(80, 240))[None]


def findings(action):
    return Findings(IngestPolicy(actions={IngestCode.BURNED_IN_TEXT: action}))


def test_a_picture_that_says_it_has_none_and_shows_none_is_left_alone():
    asked = findings(Action.REPAIR)
    assert blanked_pixels(header(Modality="US", BurnedInAnnotation="NO"), PLAIN, asked) is None
    assert asked.flags == {}


@pytest.mark.parametrize(
    ("values", "lettering"),
    [({"Modality": "US"}, PLAIN), ({"Modality": "DX", "BurnedInAnnotation": "YES"}, PLAIN), ({"Modality": "DX"}, WRITTEN)],
)
def test_text_that_is_usual_stated_or_found_is_refused_unless_the_policy_says_otherwise(values, lettering):
    with pytest.raises(IngestError) as caught:
        blanked_pixels(header(**values), lettering, findings(Action.REJECT))
    assert caught.value.ingest_code is IngestCode.BURNED_IN_TEXT
    kept = findings(Action.ACCEPT_WITH_FLAG)
    assert blanked_pixels(header(**values), lettering, kept) is None
    assert IngestCode.BURNED_IN_TEXT in kept.flags


def test_text_that_was_found_is_blanked_and_nothing_far_from_it():
    asked = findings(Action.REPAIR)
    mask = blanked_pixels(header(Modality="DX"), WRITTEN, asked)
    written = WRITTEN[0] == 255
    assert mask[written].mean() > 0.98
    assert not mask[60:].any()
    assert asked.flags[IngestCode.BURNED_IN_TEXT]["blanked"] == mask.sum()


def test_the_banner_outside_of_the_regions_is_blanked_whatever_it_shows():
    region = ultrasound_region((10, 20, 199, 69))
    mask = blanked_pixels(header(Modality="US", SequenceOfUltrasoundRegions=[region]), PLAIN, findings(Action.REPAIR))
    wanted = np.ones((80, 240), bool)
    wanted[20:70, 10:200] = False  # the last row and column belong to the region
    assert np.array_equal(mask, wanted)


def test_stated_text_that_is_neither_found_nor_outside_of_a_region_cannot_be_blanked():
    with pytest.raises(IngestError):
        blanked_pixels(header(Modality="DX", BurnedInAnnotation="YES"), PLAIN, findings(Action.REPAIR))


def test_a_region_outside_of_the_picture_is_none():
    assert outside_regions(header(SequenceOfUltrasoundRegions=[ultrasound_region((10, 20, 300, 69))]), (80, 240)) is None
    assert outside_regions(header(), (80, 240)) is None
