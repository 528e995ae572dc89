from __future__ import annotations

import copy

import pytest
import torch

from data_contracts import KnowledgeError
from medkd.knowledge.interface import LiveKnowledge
from medkd.knowledge.online import EmaSource, PeerSource, TraceKnowledge
from medkd.knowledge.source import KnowledgeSource
from medkd.targets import class_margin
from medkd.trace import trace


def test_averaged_weights_follow_the_formula(make_network):
    """Tarvainen 2017: theta' = a theta' + (1 - a) theta, a = min(1 - 1 / (step + 1), decay)."""
    student, source = make_network(1), EmaSource(0.6)
    source.begin(student)
    name = next(iter(dict(student.named_parameters())))
    expected = dict(student.named_parameters())[name].detach().clone()
    for step in (1, 2, 3):
        with torch.no_grad():
            for parameter in student.parameters():
                parameter += 0.1 * step
        source.update(student, step)
        share = min(1 - 1 / (step + 1), 0.6)
        expected = share * expected + (1 - share) * dict(student.named_parameters())[name].detach()
        torch.testing.assert_close(dict(source.network.named_parameters())[name], expected)
    assert not any(parameter.requires_grad for parameter in source.network.parameters())
    assert not source.network.training
    counts = [value for value in source.network.state_dict().values() if not value.is_floating_point()]
    assert all(
        torch.equal(a, b) for a, b in zip(counts, [v for v in student.state_dict().values() if not v.is_floating_point()], strict=True)
    )


def test_averaged_weights_answer_in_eval_mode_and_carry_no_gradient(make_network, make_sample):
    student, source, sample = make_network(1).train(), EmaSource(0.9), make_sample()
    assert isinstance(source, KnowledgeSource)
    source.begin(student)
    frozen = copy.deepcopy(student).eval()
    knowledge = source.for_batch(sample)
    torch.testing.assert_close(knowledge.logits(), frozen(sample.image))
    assert not knowledge.logits().requires_grad
    assert source.layers() == student.layer_map.feature_layers
    assert source.shape("last", sample.image[:1]) == (1, *knowledge.features("last").shape[1:])


def test_averaged_weights_that_have_not_begun_are_said(make_sample):
    with pytest.raises(KnowledgeError, match="averaged weights that have begun"):
        EmaSource(0.9).for_batch(make_sample())
    with pytest.raises(KnowledgeError, match="averaged weights that have begun"):
        EmaSource(0.9).layers()


def test_a_peer_says_what_it_said_in_its_own_training_pass(make_network, make_sample):
    network, sample = make_network(1).train(), make_sample()
    source = PeerSource(network)
    with pytest.raises(KnowledgeError, match="pass of the peer"):
        source.for_batch(sample)
    kept = trace(network, sample.inputs, layers=(network.layer_map.cam_layer,))
    source.speaking = kept
    knowledge = source.for_batch(sample)
    torch.testing.assert_close(knowledge.logits(), kept.logits.detach())
    for values in (
        knowledge.logits(),
        knowledge.features("last"),
        knowledge.attribution("cam", class_margin(0)) if sample.labels.ndim == 1 else knowledge.logits(),
    ):
        assert not values.requires_grad


def test_a_peer_asked_about_other_images_keeps_its_statistics_and_its_mode(make_network, make_sample):
    network, sample = make_network(1).train(), make_sample()
    kept = trace(network, sample.inputs)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    knowledge = TraceKnowledge(kept)
    other = knowledge.for_batch(sample.image.flip(-1))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    torch.testing.assert_close(other.logits(), LiveKnowledge(copy.deepcopy(network).eval(), {"image": sample.image.flip(-1)}).logits())
    torch.testing.assert_close(knowledge.response(sample.image), torch.zeros_like(knowledge.logits()))
