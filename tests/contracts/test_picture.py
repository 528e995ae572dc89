from __future__ import annotations

import pytest
from pydantic import ValidationError

from data_contracts import DisplayRule, Geometry, PictureGrid, PixelSpacing, VolumeRef
from tests.dicom.invented import volume

GRID = PictureGrid(
    shape=(1, 4, 6), view="CC", laterality="L", spacing=PixelSpacing(between_rows_mm=0.1, between_columns_mm=0.2, kind="stated")
)


def test_a_picture_is_told_from_a_volume_when_it_is_read_again():
    one = volume(shape=(4, 5, 6))
    picture = one.model_copy(update={"geometry": GRID})
    for record, kind in ((one, Geometry), (picture, PictureGrid)):
        again = VolumeRef.model_validate_json(record.canonical_json())
        assert again == record
        assert isinstance(again.geometry, kind)
    assert (picture.picture, picture.space) == (GRID, None)
    assert (one.picture, one.space) == (None, one.geometry)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": (0, 4, 6)},
        {"laterality": "left"},
        {"frame_time_ms": 0.0},
        {"spacing": {"between_rows_mm": 0.0, "between_columns_mm": 1.0, "kind": "stated"}},
        {"spacing": {"between_rows_mm": 1.0, "between_columns_mm": 1.0, "kind": "guessed"}},
        {"display": {"values_of_interest": "CUBIC"}},
    ],
)
def test_what_no_picture_can_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        PictureGrid.model_validate({**GRID.model_dump(), **wrong})


def test_without_a_word_a_picture_is_shown_as_it_is():
    assert DisplayRule() == PictureGrid(shape=(1, 1, 1)).display
    assert not DisplayRule().inverted
