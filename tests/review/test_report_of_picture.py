"""A picture asked of networks of pictures, from its pixels to the page: nothing is said in mm, and maps lie on the picture's own pixels."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from data_contracts import DataError
from medkd.inference.segment import prepare_study
from medkd.inference.training_caveats import caveats_of_study
from medkd.review.compose_report import compose_report
from medkd.review.picture import render_picture
from medkd.review.render_html import render_html
from medkd.review.shown import StudyArrays
from tests.explanation.pictures import SHAPE, SPACING, bright_picture, explained_picture, model_of_pictures
from tests.explanation.studies import bright_model


def test_a_lesion_of_a_picture_is_outlined_on_its_own_pixels_and_has_no_size_in_mm():
    shown, _, made = explained_picture("segmentation")
    (lesion,) = made.record.lesions
    assert torch.equal(made.arrays["mask/1"], (shown > 127).to(torch.uint8))
    assert (lesion.volume_ml, lesion.diameter_mm, lesion.centroid_lps_mm, lesion.side) == (None, None, None, "unknown")
    (ref,) = made.record.maps
    assert ref.geometry is None
    assert ref.shape == SHAPE
    assert ref.peaks[0].position_lps_mm is None
    assert not [value.name for value in ref.measures if value.unit == "mm" or value.name.endswith("_mm")]
    attribution = made.arrays["map/1/student/input_times_gradient"]
    assert attribution.shape == SHAPE
    assert float(attribution[0, 10:22, 20:40].clamp_min(0).sum() / attribution.clamp_min(0).sum()) > 0.9  # linear at its edges


def test_every_frame_of_a_cine_is_model_of_pictures():
    _, _, made = explained_picture("classification", frames=3)
    assert sum(one.last_slice - one.first_slice + 1 for one in made.record.answers) == 3


@pytest.mark.parametrize(("spacing", "words"), [(SPACING, "0.1 x 0.2 mm at the detector"), (None, "spacing unknown")])
@pytest.mark.parametrize("kind", ["classification", "segmentation"])
def test_the_page_says_what_is_known_of_a_picture(kind, spacing, words):
    shown, _, made = explained_picture(kind, spacing=spacing)
    arrays = StudyArrays(shown.float().numpy(), ({name: values.numpy() for name, values in made.arrays.items()},))
    report = compose_report((made.record,), arrays)
    page = render_html(report, arrays)
    assert words in page
    assert "inverted once" in page
    assert 'class="mark left"' not in page
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])
    (view,) = data["views"].values()
    assert list(data["views"]) == ["frame"]
    assert view["positions"] == []
    assert view["marks"] == {}
    assert view["size"] == [48, 64]
    assert view["aspect"] == ([64 * 0.2, 48 * 0.1] if spacing else [64, 48])
    assert data["affine"] is None
    assert data["spacing"] == ([0.1, 0.2] if spacing else None)
    assert render_picture(report, arrays)[:4] == b"\x89PNG"


def test_no_range_of_spacing_is_compared_with_a_bright_picture():
    assert [caveat.code for caveat in caveats_of_study(bright_picture()[1], model_of_pictures("segmentation").checkpoint)] == [
        "TRAINING_DATA_UNKNOWN"
    ]


def test_a_picture_is_no_volume():
    shown, _ = bright_picture()
    with pytest.raises(DataError) as caught:
        prepare_study(shown, None, bright_model().checkpoint.task)
    assert caught.value.code == "GRID_MISMATCH"


def test_a_picture_is_seen_as_it_is_imported_for_training():
    """By the letterbox of imported pictures, then the task's window."""
    shown, _ = bright_picture()
    study = prepare_study(shown, None, model_of_pictures("segmentation").checkpoint.task)
    small = shown[0].reshape(24, 2, 32, 2).float().mean((1, 3)).round()
    assert study.matrix == (48, 64)
    np.testing.assert_allclose(study.image[0, 0], small / 255 * 2 - 1, atol=2 / 255)
