from __future__ import annotations

import pytest
import torch

from data_contracts import KnowledgeError
from medkd.distillation._encoder_map import activation_difference
from medkd.distillation.encoder_transfer import encoder_transfer, incompatible_reason
from medkd.knowledge.control import ControlledKnowledge
from medkd.knowledge.interface import LiveKnowledge
from medkd.task_context import TaskContext
from medkd.trace import layer_map_of, trace


@pytest.fixture
def task():
    return "segmentation"


def asked(network, sample):
    layer_map = layer_map_of(network)
    return trace(network, sample.inputs, layers=(layer_map.cam_layer, *layer_map.encoder_blocks()))


def test_the_closed_form_is_the_linear_discriminant_counted_by_hand():
    # One feature: 3 inside, 1 outside; the middle is 2, the direction 2.
    features = torch.ones(1, 1, 2, 2)
    features[0, 0, 0, 0] = 3
    mask = torch.zeros(1, 4, 4, dtype=torch.uint8)
    mask[0, :2, :2] = 1
    assert activation_difference(features, mask)[0].tolist() == [[2.0, -2.0], [-2.0, -2.0]]


def test_a_cell_that_is_covered_in_part_counts_in_part(draw):
    features, mask = draw(1, 5, 2, 2), torch.zeros(1, 4, 4, dtype=torch.uint8)
    mask[0, :2, :3] = 1
    share = torch.tensor([1.0, 0.5, 0.0, 0.0])
    flat = features[0].flatten(1)
    within, without = (flat * share).sum(1) / share.sum(), (flat * (1 - share)).sum(1) / (1 - share).sum()
    wanted = ((within - without)[:, None] * (flat - ((within + without) / 2)[:, None])).sum(0)
    torch.testing.assert_close(activation_difference(features, mask)[0].flatten(), wanted)


@pytest.mark.parametrize("method", ["activation", "grad_cam"])
@pytest.mark.parametrize("distance", ["cosine", "squared"])
def test_it_is_zero_at_the_teacher_and_only_its_own_explanations_make_it_so(make_network, make_sample, method, distance):
    sample = make_sample()
    teacher = make_network(1).eval()
    student, own = asked(make_network(1).eval(), sample), LiveKnowledge(teacher, sample.inputs)
    options = {"method": method, "distance": distance}
    assert float(encoder_transfer(student, own, sample, **options)) == pytest.approx(0, abs=1e-5)
    for kind in ("another_patient", "centre_gaussian", "shuffled"):
        assert float(encoder_transfer(student, ControlledKnowledge(own, kind, sample), sample, **options)) > 1e-3


def test_blocks_of_other_widths_and_grids_compare(make_network, make_sample):
    sample, network = make_sample(), make_network(0)
    first = layer_map_of(network).encoder_blocks()[0]
    value = encoder_transfer(
        asked(network, sample), LiveKnowledge(make_network(1).eval(), sample.inputs), sample, method="activation", layer=first
    )
    value.backward()
    assert float(network.get_submodule(first).conv.unit0.conv.weight.grad.abs().max()) > 0


def test_it_says_where_it_cannot_work(make_sample):
    assert "no lesion" in incompatible_reason(TaskContext("classification", 2), method="activation")
    assert "method: activation" in incompatible_reason(TaskContext("segmentation", 2, from_store=True))
    assert incompatible_reason(TaskContext("segmentation", 2, from_store=True), method="activation") is None


def test_a_classification_has_no_lesion_to_compare(made_trace, draw):
    from medkd.distillation._encoder_map import student_map
    from medkd.targets import class_margin

    with pytest.raises(KnowledgeError, match="method: grad_cam") as caught:
        student_map(made_trace(features=draw(2, 3, 4, 4)), class_margin(1), "activation", "layer", 4)
    assert caught.value.code == "ENCODER_METHOD"
