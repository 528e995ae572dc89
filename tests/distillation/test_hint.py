from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from data_contracts import KnowledgeError, LossTerm, NetworkSpec, Task, TrainingConfig
from medkd.distillation.hint import hint
from medkd.knowledge.interface import LAST, LiveKnowledge
from medkd.knowledge.source import LiveSource
from medkd.models._build import build_network
from medkd.trace import LayerMap, Sample, Trace, layer_map_of, trace, with_layer_map
from medkd.training.fit import FitRequest, fit
from medkd.training.objective import Objective
from tests.knowledge.precomputed import PrecomputedKnowledge


@pytest.fixture
def wide(task):
    builder = "resnet" if task == "classification" else "unet"
    options = {"channels": (4, 4, 6, 12)} if task == "classification" else {"channels": (4, 8, 8), "head_features": 12}
    return build_network(NetworkSpec(builder=builder, options=options), seed=4).eval()


def traced(network, sample):
    return trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))


def test_by_hand_in_units_of_the_teachers_mean_square(make_network, make_sample):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    student_values, teacher_values = traced(student, sample), traced(teacher, sample)
    value = hint(student_values, LiveKnowledge(teacher, sample.inputs), sample, grid=64)
    layer = layer_map_of(student).cam_layer
    gaps = [
        float(
            (student_values.feature(layer)[row] - teacher_values.feature(layer)[row]).square().mean()
            / teacher_values.feature(layer)[row].square().mean()
        )
        for row in range(3)
    ]
    assert float(value) == pytest.approx(sum(gaps) / 3, rel=1e-4)


def test_other_channels_without_a_projector_are_refused(make_network, make_sample, wide):
    sample = make_sample(2)
    with pytest.raises(KnowledgeError) as caught:
        hint(traced(make_network(0), sample), LiveKnowledge(wide, sample.inputs), sample)
    assert caught.value.code == "HINT_CHANNELS"


def test_a_projection_that_is_right_leaves_nothing(make_network, make_sample):
    teacher, sample = make_network(1).eval(), make_sample(2)
    double = make_network(1).eval()
    channels = traced(teacher, sample).feature(layer_map_of(teacher).cam_layer).shape[1]
    projector = nn.Conv2d(channels, channels, 1, bias=False)
    projector.weight.data = torch.eye(channels)[:, :, None, None]
    assert float(hint(traced(double, sample), LiveKnowledge(teacher, sample.inputs), sample, projector=projector)) == pytest.approx(
        0, abs=1e-6
    )


def test_the_objective_finds_the_size_and_the_projector_is_trained_but_not_kept(make_network, make_sample, wide, task, tmp_path):
    """The returned student has its own weights only, and the loss falls only because the projector learns too."""
    objective = Objective((LossTerm(loss="hint", options={"grid": 4}),))
    student = make_network(0)
    adapters = objective.connect(student, LiveSource(wide), torch.zeros(1, 1, 32, 32))
    assert [tuple(m.weight.shape[:2]) for m in adapters.projectors.values()] == [(12, 8)]

    class Four:
        cases = ()

        def __len__(self):
            return 8

        def draw(self, rows, *_):
            return replace(make_sample(8), labels=None)

    seen = []
    request = FitRequest(
        TrainingConfig(epochs=6, batch_size=8, learning_rate=0.02, precision="fp32", augment="none"),
        Task(kind=task, classes=("a", "b"), image_size=(32, 32)),
        0,
        tmp_path,
        "k",
        after_epoch=lambda epoch, network: seen.append((epoch, network.training)),
    )
    fitted = fit(student, objective, Four(), request, teacher=wide)
    assert not [name for name in fitted.state_dict() if "projector" in name]
    assert [epoch for epoch, _ in seen] == [1, 2, 3, 4, 5, 6]
    from medkd.storage.metrics_log import MetricsLog

    lines = MetricsLog(tmp_path / "metrics.jsonl").read()
    assert lines[-1]["hint"] < 0.9 * lines[0]["hint"]


def test_inside_lesions_only_their_cells_are_compared():
    features = torch.ones(1, 2, 4, 4)
    other = features.clone()
    other[0, :, 0, 0] = 9.0
    masks = torch.zeros(1, 16, 16, dtype=torch.uint8)
    masks[0, 9, 9] = 1
    sample = Sample(inputs={"image": torch.zeros(1, 1, 16, 16)}, masks=masks)
    model = with_layer_map(torch.nn.Identity(), LayerMap(feature_layers=("layer",), cam_layer="layer", head=""))
    student = Trace(model, dict(sample.inputs), {"default": torch.zeros(1, 2)}, {"layer": other})
    teacher = PrecomputedKnowledge(torch.zeros(1, 2), features={LAST: features})
    assert float(hint(student, teacher, sample)) > 1
    assert float(hint(student, teacher, sample, inside=True)) == 0
    # The lesion where they differ, and a case without one.
    there = replace(sample, masks=torch.roll(masks, (-9, -9), (1, 2)))
    assert float(hint(student, teacher, there, inside=True)) > 1
    assert float(hint(student, teacher, replace(sample, masks=torch.zeros_like(masks)), inside=True)) == 0
