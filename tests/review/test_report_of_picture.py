"""A picture asked of networks of pictures, from its pixels to the page: nothing is said in mm, and maps lie on the picture's own pixels."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from data_contracts import DataError, DisplayRule, Entry, ExplanationRequest, NetworkSpec, PictureGrid, PixelSpacing, Ref, Task, VolumeRef
from medkd.explanation.explain_study import LoadedModel, explain_study
from medkd.inference.segment import prepare_study
from medkd.inference.training_caveats import caveats_of_study
from medkd.review.compose_report import compose_report
from medkd.review.picture import render_picture
from medkd.review.render_html import render_html
from medkd.review.shown import StudyArrays
from medkd.trace import LayerMap
from tests.explanation.conftest import loaded as _volumes

SPACING = PixelSpacing(between_rows_mm=0.1, between_columns_mm=0.2, kind="detector")
#: Twice as many rows and columns as the networks see.
SHAPE = (1, 48, 64)


class Bright(nn.Module):
    """Calls bright what is bright: pixel by pixel, or by the mean of all."""

    def __init__(self, *, pixels: bool) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 1, 1, bias=False)
        self.features.weight.data = torch.ones(1, 1, 1, 1)
        self.head = nn.Conv2d(1, 2, 1, bias=False) if pixels else nn.Linear(1, 2, bias=False)
        self.head.weight.data = torch.tensor([-1.0, 1.0]).view(self.head.weight.shape)
        self.layer_map = LayerMap(feature_layers=("features",), cam_layer="features", head="head")

    def forward(self, image):
        found = self.features(image)
        return self.head(found) if isinstance(self.head, nn.Conv2d) else self.head(found.flatten(2).mean(2))


def asked(kind):
    """Return a model of pictures of 24 x 32 pixels."""
    base = _volumes.__wrapped__()
    classes = ("background", "bright") if kind == "segmentation" else ("dark", "bright")
    task = Task(kind=kind, classes=classes, image_size=(24, 32), window=(0.0, 255.0))
    builder = {"segmentation": ("unet", (4, 8)), "classification": ("resnet", (4, 4, 4, 4))}[kind]
    spec = NetworkSpec(builder=builder[0], spatial_dims=2, options={"channels": builder[1]})
    checkpoint = base.checkpoint.model_copy(update={"task": task, "network": spec})
    return LoadedModel(base.model, checkpoint, Bright(pixels=kind == "segmentation"))


def picture(spacing=SPACING, frames=1):
    shown = torch.zeros((frames, *SHAPE[1:]), dtype=torch.uint8)
    shown[0, 10:22, 20:40] = 255
    grid = PictureGrid(shape=tuple(shown.shape), spacing=spacing, view="CC", laterality="L", display=DisplayRule(inverted=True))
    keys = {"patient_key": "p1", "study_key": "t1", "series_key": "s1"}
    return shown, VolumeRef(array=Ref(store="s", key="v", sha256="0" * 64), geometry=grid, unit="raw", modality="MG", **keys)


def explained(kind, **changes):
    shown, volume = picture(**changes)
    request = ExplanationRequest(explainers=(Entry(name="input_times_gradient"),))
    made = explain_study(shown, volume, asked(kind), request)
    return shown, volume, made


def test_a_lesion_of_a_picture_is_outlined_on_its_own_pixels_and_has_no_size_in_mm():
    shown, _, made = explained("segmentation")
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


def test_every_frame_of_a_cine_is_asked():
    _, _, made = explained("classification", frames=3)
    assert sum(one.last_slice - one.first_slice + 1 for one in made.record.answers) == 3


@pytest.mark.parametrize(("spacing", "words"), [(SPACING, "0.1 x 0.2 mm at the detector"), (None, "spacing unknown")])
@pytest.mark.parametrize("kind", ["classification", "segmentation"])
def test_the_page_says_what_is_known_of_a_picture(kind, spacing, words):
    shown, _, made = explained(kind, spacing=spacing)
    arrays = StudyArrays(shown.float(), (made.arrays,))
    report = compose_report((made.record,), arrays)
    page = render_html(report, arrays)
    assert words in page
    assert "inverted once" in page
    assert 'class="mark left"' not in page
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])
    assert data["positions"] == []
    assert data["size"] == [48, 64]
    assert data["aspect"] == ([64 * 0.2, 48 * 0.1] if spacing else [64, 48])
    assert render_picture(report, arrays)[:4] == b"\x89PNG"


def test_no_range_of_spacing_is_compared_with_a_picture():
    assert [caveat.code for caveat in caveats_of_study(picture()[1], asked("segmentation").checkpoint)] == ["TRAINING_DATA_UNKNOWN"]


def test_a_picture_is_no_volume():
    shown, _ = picture()
    with pytest.raises(DataError) as caught:
        prepare_study(shown, None, _volumes.__wrapped__().checkpoint.task)
    assert caught.value.code == "GRID_MISMATCH"


def test_a_picture_is_seen_as_it_is_imported_for_training():
    """By the letterbox of imported pictures, then the task's window."""
    shown, _ = picture()
    study = prepare_study(shown, None, asked("segmentation").checkpoint.task)
    small = shown[0].reshape(24, 2, 32, 2).float().mean((1, 3)).round()
    assert study.matrix == (48, 64)
    np.testing.assert_allclose(study.image[0, 0], small / 255 * 2 - 1, atol=2 / 255)
