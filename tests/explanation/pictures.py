"""Networks of pictures whose maps are known, and a picture with a bright box, explained."""

from __future__ import annotations

import torch
from torch import nn

from data_contracts import DisplayRule, Entry, ExplanationRequest, NetworkSpec, PictureGrid, PixelSpacing, Ref, Task, VolumeRef
from medkd.explanation.explain_study import LoadedModel, StudyImages, explain_study
from medkd.trace import LayerMap
from tests.explanation.studies import bright_model

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


def model_of_pictures(kind):
    """Return a model of pictures of 24 x 32 pixels."""
    base = bright_model()
    classes = ("background", "bright") if kind == "segmentation" else ("dark", "bright")
    task = Task(kind=kind, classes=classes, image_size=(24, 32), window=(0.0, 255.0))
    builder = {"segmentation": ("unet", (4, 8)), "classification": ("resnet", (4, 4, 4, 4))}[kind]
    spec = NetworkSpec(builder=builder[0], spatial_dims=2, options={"channels": builder[1]})
    checkpoint = base.checkpoint.model_copy(update={"task": task, "network": spec})
    return LoadedModel(base.model, checkpoint, Bright(pixels=kind == "segmentation"))


def bright_picture(spacing=SPACING, frames=1):
    shown = torch.zeros((frames, *SHAPE[1:]), dtype=torch.uint8)
    shown[0, 10:22, 20:40] = 255
    grid = PictureGrid(shape=tuple(shown.shape), spacing=spacing, view="CC", laterality="L", display=DisplayRule(inverted=True))
    keys = {"patient_key": "p1", "study_key": "t1", "series_key": "s1"}
    return shown, VolumeRef(array=Ref(store="s", key="v", sha256="0" * 64), geometry=grid, unit="raw", modality="MG", **keys)


def explained_picture(kind, **changes):
    shown, volume = bright_picture(**changes)
    request = ExplanationRequest(explainers=(Entry(name="input_times_gradient"),))
    made = explain_study(StudyImages(shown, volume), model_of_pictures(kind), request)
    return shown, volume, made
