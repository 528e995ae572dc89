"""A class that no label shows: the student alone never says it, one that is taught does, of pictures and of pixels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from data_contracts import Case, LossTerm, NetworkSpec, Ref, Task, TrainingConfig
from medkd.cohorts.hidden_classes import hide_classes
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.inference.predict import predict_logits
from medkd.models._build import build_network
from medkd.trace import LayerMap, with_layer_map
from medkd.training.fit import FitRequest, fit
from medkd.training.objective import Objective

SIZE, CLASSES = 16, ("dark", "middle", "bright")
BUILDERS = {
    "classification": NetworkSpec(builder="resnet", out_channels=3, options={"channels": (4, 4, 6, 8)}),
    "segmentation": NetworkSpec(builder="unet", out_channels=3, options={"channels": (4, 6)}),
}
REF = Ref(store="s", key="k", sha256="0" * 64)


class Brightness(nn.Module):
    """A teacher that knows all three classes by how bright a pixel is."""

    def __init__(self, kind):
        super().__init__()
        self.mean, self.head = nn.AvgPool2d(5, 1, 2), nn.Conv2d(1, 3, 1)
        self.whole = kind == "classification"
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([-8.0, 0.0, 8.0]).view(3, 1, 1, 1))
            self.head.bias.copy_(torch.tensor([0.0, 2.5, 0.0]))

    def forward(self, image):
        logits = self.head(self.mean(image))
        return logits.mean((2, 3)) if self.whole else logits


def drawn(seed, kind):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(96) % 3
    bands = (labels[:, None] + torch.arange(SIZE) * 3 // SIZE) % 3
    masks = bands[:, None].expand(96, SIZE, SIZE) if kind == "segmentation" else labels[:, None, None].expand(96, SIZE, SIZE)
    images = 0.9 * (masks.float() - 1) + 0.15 * torch.randn(96, SIZE, SIZE, generator=draw)
    return TensorCohort(
        cases=tuple(Case(case_key=f"c{seed}-{row}", patient_key=f"p{seed}-{row}", image=REF) for row in range(96)),
        images=images[:, None], labels=labels, masks=masks.to(torch.uint8).contiguous(), has_mask=torch.ones(96, dtype=torch.bool),
        valid=torch.ones(96, SIZE, SIZE, dtype=torch.bool), markers=torch.zeros(96, dtype=torch.bool),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [pytest.param("classification", marks=pytest.mark.extended), "segmentation"])
def test_what_no_label_shows_is_said_by_a_student_that_is_taught_and_by_no_other(tmp_path, kind):
    task = Task(kind=kind, classes=CLASSES, image_size=(SIZE, SIZE))
    shown = hide_classes(drawn(1, kind), task, ("bright",), keep_cases=True)
    test = drawn(2, kind)
    teacher = with_layer_map(Brightness(kind), LayerMap(feature_layers=("mean",), cam_layer="mean", head="head")).eval()
    config = TrainingConfig(epochs=5, batch_size=16, learning_rate=0.03, augment="none", precision="fp32")
    truth = test.labels if kind == "classification" else test.masks.long()
    recall = {}
    for name, terms in {"alone": ["cross_entropy"], "kd": ["cross_entropy", "logit_kd"]}.items():
        request = FitRequest(config, task, 3, tmp_path / name, name)
        objective = Objective(tuple(LossTerm(loss=loss) for loss in terms))
        student = fit(build_network(BUILDERS[kind], seed=4), objective, shown, request, teacher=teacher if name == "kd" else None)
        answer = predict_logits(student, test.images).argmax(1)
        recall[name] = [float((answer == index)[truth == index].float().mean()) for index in range(3)]
    assert recall["alone"][2] == 0
    assert min(recall["alone"][:2]) > 0.8
    assert min(recall["kd"]) > 0.8
