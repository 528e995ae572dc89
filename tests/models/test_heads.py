"""A head of a network is a network: its answer, its class map and its gradient are those of the head in the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from data_contracts import ExplanationError, NetworkSpec
from medkd.attribution._attribute import attribute
from medkd.attribution.cam import cam
from medkd.models._build import build_network
from medkd.models._heads import head_view, sample_of_cases, trace_of_head
from medkd.targets import class_margin
from medkd.trace import Sample, trace


@pytest.fixture(scope="module")
def network():
    return build_network(NetworkSpec(builder="multi_task_unet", options={"channels": (4, 6, 8)})).eval()


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(1))


def test_a_view_answers_what_the_head_answers(network, images):
    torch.testing.assert_close(head_view(network, "classification")(images), trace(network, images).outputs["classification"])


def test_the_class_map_of_a_view_sums_to_its_logit(network, images):
    view = head_view(network, "classification")
    found = attribute(view, images, class_margin(1), explainer="cam")
    assert found.shape == (3, 32, 32)
    kept = trace(view, images, layers=(view.layer_map.cam_layer,))
    by_hand = torch.einsum(
        "f,nfrc->nrc", view.network.case_head.weight[1] - view.network.case_head.weight[0], kept.feature("network.bottleneck")
    )
    margin = (kept.logits[:, 1] - kept.logits[:, 0]).detach()
    torch.testing.assert_close(by_hand.flatten(1).mean(1).detach(), margin)


def test_a_pass_seen_by_a_head_has_the_graph_and_the_maps_of_the_pass(network, images):
    kept = trace(network, images, layers=("bottleneck",))
    seen = trace_of_head(kept, "classification")
    assert seen.logits is kept.outputs["classification"]
    view = head_view(network, "classification")
    torch.testing.assert_close(cam(seen, class_margin(1)), attribute(view, images, class_margin(1), explainer="cam"))
    assert seen.logits.requires_grad


def test_a_network_without_the_head_is_refused():
    other = build_network(NetworkSpec(builder="unet", options={"channels": (4, 8)}))
    with pytest.raises(ExplanationError, match="head for classification") as caught:
        head_view(other, "classification")
    assert caught.value.code == "HEAD_MISSING"


def test_a_head_that_classifies_reads_the_labels_of_cases(images):
    masks = torch.zeros(3, 32, 32, dtype=torch.int64)
    sample = Sample(inputs={"image": images}, labels=masks, valid_mask=masks == 0, case_labels=torch.tensor([0, 1, -1]))
    seen = sample_of_cases(sample)
    assert seen.labels.tolist() == [0, 1, -1]
    assert seen.valid_mask is None
    assert replace(seen, labels=None).labels is None
