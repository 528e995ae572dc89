"""Every loss, on its own, teaches a small student something in an epoch on the phantom, in the precision of this machine."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from data_contracts import LossTerm, NetworkSpec, Task, TrainingConfig
from medkd.catalogue import LOSSES
from medkd.models._build import build_network
from medkd.phantom.render import draw_cases, render_key_slices, render_volume
from medkd.storage.metrics_log import MetricsLog
from medkd.trace import Sample, layer_map_of
from medkd.training.fit import FitRequest, fit
from medkd.training.objective import Objective
from medkd.volumes.window import window_intensity

CASES, WINDOW = 16, (-160.0, 240.0)

CATALOGUE = LOSSES


@pytest.fixture(params=[2, pytest.param(3, marks=pytest.mark.extended)], ids=["pictures", "volumes"])
def space(request):
    """Volumes take two minutes: the other properties look at them every time."""
    return request.param


@pytest.fixture(scope="module")
def phantom():
    """Return images, masks and labels of the same cases as pictures of 32 pixels and as volumes of 8 x 32 x 32 voxels."""
    cases = draw_cases(CASES, 3)
    pictures, flat = render_key_slices(cases)
    volumes, deep = (torch.stack(parts) for parts in zip(*(render_volume(cases, index) for index in range(CASES)), strict=True))
    found = {}
    for space, (images, masks), size in ((2, (pictures, flat), (32, 32)), (3, (volumes, deep), (8, 32, 32))):
        image = window_intensity(images, WINDOW)[:, None]
        pool = functional.adaptive_avg_pool2d if space == 2 else functional.adaptive_avg_pool3d
        found[space] = pool(image, size), (pool(masks[:, None].float(), size)[:, 0] > 0.3).to(torch.uint8), cases.label
    return found


class Cohort:
    """The phantom's cases as training draws them."""

    def __init__(self, parts, task, classes):
        self.images, self.masks, self.labels = parts
        self.task, self.classes = task, classes

    def __len__(self):
        return len(self.images)

    def draw(self, rows, *_):
        if self.task == "classification":
            # Three classes where a loss needs them: the malignant half of the cases in two.
            labels = self.labels[rows] * (self.classes - 1 - rows % (self.classes - 1))
        else:
            labels = self.masks[rows].long() * (self.classes - 1)
        forbidden = (self.masks[rows] == 0).to(torch.uint8) * 100
        return Sample(inputs={"image": self.images[rows]}, labels=labels, masks=self.masks[rows], forbidden=forbidden)

    def patients(self):
        return [str(i) for i in range(len(self))]


@pytest.mark.extended
@pytest.mark.parametrize("name", LOSSES.names())
def test_a_loss_alone_lowers_itself_within_an_epoch(name, task, space, phantom, tmp_path):
    entry = LOSSES.entry(name)
    classes = entry.fact("MIN_CLASSES", 2)
    builder, options = {
        "classification": ("resnet", {"channels": (4, 4, 6, 8)}),
        "segmentation": ("unet", {"channels": (4, 8, 8)}),
        "detection": ("detector", {"channels": (4, 8, 8), "stride": 2, "head_features": 8}),
    }[task]
    if "deep_heads" in entry.fact("NEEDS"):
        builder, options = "dyn_unet", {"filters": (4, 8, 12), "deep_supervision": 1}
    spec = NetworkSpec(builder=builder, out_channels=classes, spatial_dims=space, options=options)
    student, teacher = build_network(spec, seed=0), build_network(spec, seed=1)
    with torch.no_grad():
        # A teacher of random weights says next to nothing: its head is made decided.
        head = teacher.get_submodule(layer_map_of(teacher).head)
        head.weight *= 8
        if task == "detection":
            head.bias.zero_()  # and sure of some lesions, whose boxes can be copied
    images = phantom[space][0]
    config = TrainingConfig(epochs=4, batch_size=8, samples_per_epoch=32, learning_rate=0.01, augment="none", precision="auto")
    kind = Task(kind=task, classes=tuple("abc"[:classes]), image_size=tuple(images.shape[2:]))
    request = FitRequest(config, kind, 0, tmp_path, "k")
    fitted = fit(student, Objective((LossTerm(loss=name),)), Cohort(phantom[space], task, classes), request, teacher=teacher)
    course = [line["loss"] for line in MetricsLog(tmp_path / "metrics.jsonl").read()]
    assert all(math.isfinite(value) for value in course)
    assert course[-1] < course[0]
    assert all(bool(value.isfinite().all()) for value in fitted.state_dict().values())
