from __future__ import annotations

import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes

from medkd.dicom.picture_view import frame_time_ms, intent_of, laterality_of, view_of
from tests.dicom.invented import header


def code(value, scheme="SCT"):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "a view"
    return [item]


def test_a_side_is_that_of_the_image_before_that_of_the_series():
    assert laterality_of(header(ImageLaterality="L", Laterality="R")) == "L"
    assert laterality_of(header(Laterality="R")) == "R"
    assert laterality_of(header(Laterality="MILLER")) == laterality_of(header()) == ""


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("CranioCaudal", "CC"),
        ("MedioLateralObliqueProjection", "MLO"),
        ("MedioLateralProjection", "ML"),
        ("LateroMedial", "LM"),
        ("LateroMedialOblique", "LMO"),
        ("CaudoCranial", "FB"),
        ("CranioCaudalExaggeratedLaterally", "XCCL"),
        ("CranioCaudalExaggeratedMedially", "XCCM"),
        ("SuperolateralToInferomedialOblique", "SIO"),
        ("InferomedialToSuperolateralOblique", "ISO"),
    ],
)
def test_views_of_mammography_are_known_by_their_codes(name, view):
    """The codes are those of pydicom's own copy of CID 4014."""
    assert view_of(header(ViewCodeSequence=code(getattr(codes.cid4014, name).value))) == view


def test_a_view_is_a_term_of_the_list_or_none():
    assert view_of(header(ViewPosition="PA")) == "PA"
    assert view_of(header(ViewPosition="CC", ViewCodeSequence=code("399368009"))) == "CC"
    assert view_of(header(ViewPosition="", ViewCodeSequence=code("R-10226", "SRT"))) == "MLO"
    assert view_of(header(PatientPosition="AP")) == "AP"
    assert view_of(header(PatientPosition="HFS")) == ""
    assert view_of(header(ViewPosition="MILLER")) == view_of(header()) == ""


def test_an_intent_is_stated_or_that_of_the_class():
    assert intent_of(header(PresentationIntentType="FOR PRESENTATION")) == "FOR PRESENTATION"
    assert intent_of(header(SOPClassUID="1.2.840.10008.5.1.4.1.1.1.2.1")) == "FOR PROCESSING"
    assert intent_of(header()) == ""


def test_frames_are_timed_by_their_distance_or_their_rate():
    assert frame_time_ms(header(NumberOfFrames=5, FrameTime=40)) == 40
    assert frame_time_ms(header(NumberOfFrames=5, CineRate=50)) == 20
    assert frame_time_ms(header(FrameTime=40)) is None
    assert frame_time_ms(header(NumberOfFrames=5)) is None
