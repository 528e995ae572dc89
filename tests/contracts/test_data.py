from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from data_contracts import Data, DicomData, ImageFolderData, PhantomData, VolumeFolderData

READ = TypeAdapter(Data)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"kind": "phantom", "teacher": 8, "student": 8}, PhantomData),
        ({"kind": "image_folder", "path": "p"}, ImageFolderData),
        ({"kind": "volume_folder", "path": "p", "table": "cases.csv"}, VolumeFolderData),
        ({"kind": "dicom", "path": "p"}, DicomData),
    ],
)
def test_the_kind_says_where_cases_come_from(fields, kind):
    assert type(READ.validate_python(fields)) is kind


def test_another_kind_and_a_field_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="union_tag_invalid"):
        READ.validate_python({"kind": "cloud", "path": "p"})
    with pytest.raises(ValueError, match="table"):
        READ.validate_python({"kind": "dicom", "path": "p", "table": "cases.csv"})


def test_coordinates_are_read_as_numbers_directions_and_words_and_left_out_where_none_is_asked_for():
    wanted = {"DiffusionBValue": 1000, "DiffusionGradientOrientation": [0, 0, 1], "ImageType": "P"}
    read = READ.validate_python({"kind": "dicom", "path": "p", "coordinates": wanted})
    assert read.coordinates == {"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": (0.0, 0.0, 1.0), "ImageType": "P"}
    # Digests of recipes that do not ask stay what they were.
    assert b"coordinates" not in READ.validate_python({"kind": "dicom", "path": "p"}).canonical_json()


def test_whose_a_volume_is_must_be_known():
    with pytest.raises(ValueError, match="files of one person must be known to be so, got neither for 'p'"):
        VolumeFolderData(path="p")
    assert VolumeFolderData(path="p", patient_pattern="odd-even").table is None


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (PhantomData, {"teacher": 7, "student": 8}),
        (PhantomData, {"teacher": 8, "student": 8, "mask_share": 1.1}),
        (ImageFolderData, {"path": "p", "inner_validation": 0.5}),
        (DicomData, {"path": "p", "held_out": 0.0}),
        (VolumeFolderData, {"path": "p", "table": "t", "most": 3}),
    ],
)
def test_shares_and_numbers_of_cases_have_bounds(kind, fields):
    with pytest.raises(ValueError, match=r"greater than|less than"):
        kind(**fields)
