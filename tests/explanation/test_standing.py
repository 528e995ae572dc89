"""What a record says of a component."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import LesionFinding, ReviewReport, read_record
from medkd.explanation.standing import place_of, side_of, standing_of

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "review_4.json"


@pytest.fixture
def lesion():
    return read_record(GOLDEN.read_bytes(), ReviewReport).explanations[0].lesions[0]


@pytest.mark.parametrize(("share", "standing"), [(None, "no teacher"), (0.099, "student only"), (0.1, "agrees")])
def test_a_tenth_of_the_voxels_decides(lesion, share, standing):
    assert standing_of(LesionFinding.model_validate({**lesion.model_dump(), "share_in_teacher": share})) == standing


def test_a_place_is_volume_side_and_centre(lesion):
    seen = lesion.model_copy(update={"volume_ml": 1.5, "side": "left", "centroid_lps_mm": (10.4, -5.0, 7.6)})
    assert place_of(seen) == "1.50 ml, left, at LPS (10, -5, 8) mm"


def test_what_is_unknown_is_said_to_be(lesion):
    unknown = lesion.model_copy(update={"volume_ml": None, "side": "unknown", "centroid_lps_mm": None})
    assert place_of(unknown) == "volume unknown, side unknown"
    assert side_of(unknown) == "side unknown"
