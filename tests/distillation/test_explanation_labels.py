from __future__ import annotations

import pytest
import torch

from medkd.distillation.explanation_labels import explanation_labels
from medkd.knowledge.interface import LiveKnowledge
from medkd.trace import layer_map_of, trace


@pytest.fixture
def task():
    return "classification"


def cell_logits(network, kept):
    """Return [batch, classes, cells] straight from weights and features: what each cell adds to the logit, times their number."""
    features = kept.features[layer_map_of(network).cam_layer].double().flatten(2)
    return torch.einsum("cf,nfk->nck", network.fc.weight.double(), features)


def test_by_hand_from_weights_and_features(make_network, make_sample):
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    own, other = (trace(n, sample.inputs, layers=(layer_map_of(n).cam_layer,)) for n in (student, teacher))
    # the image is 32 x 32 and the layer 4 x 4: on a grid of the image no cell is averaged, so compare on the interpolated maps
    student_values, teacher_values = (
        torch.nn.functional.interpolate(cell_logits(n, t).reshape(3, 2, 4, 4), size=(32, 32), mode="bilinear", align_corners=False).flatten(
            2
        )
        for n, t in ((student, own), (teacher, other))
    )
    p, q = (teacher_values / 2).softmax(1), (student_values / 2).softmax(1)
    by_hand = 4 * (p * (p / q).log()).sum(1).mean()
    value = explanation_labels(own, LiveKnowledge(teacher, sample.inputs), sample, grid=32, temperature=2.0)
    assert float(value) == pytest.approx(float(by_hand), rel=1e-3, abs=1e-6)


def test_the_cells_average_to_the_logit(make_network, make_sample):
    network, sample = make_network(0).eval(), make_sample(2)
    kept = trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))
    torch.testing.assert_close(cell_logits(network, kept).mean(2).float(), kept.logits, atol=1e-5, rtol=1e-4)
