from __future__ import annotations

import pytest
import torch

from data_contracts import AttributionSource
from medkd.knowledge.control import another_patient
from medkd.knowledge.folds import FoldSource
from medkd.knowledge.mixture import confidence_weights
from medkd.knowledge.mixture_source import ControlledSource, MixtureSource, parts_of
from medkd.knowledge.online import EmaSource, PeerSource
from medkd.knowledge.source import KnowledgeSource, LiveSource
from medkd.targets import class_margin, lesion_margin


@pytest.fixture
def source(make_network):
    members = {"a": LiveSource(make_network(1)), "b": LiveSource(make_network(2))}
    return MixtureSource(members, "confidence", classes=("x", "y")).prepared(torch.device("cpu"), channels_last=False)


def test_labels_of_the_batch_weigh_its_teachers(source, make_sample):
    sample = make_sample()
    assert isinstance(source, KnowledgeSource)
    knowledge = source.for_batch(sample)
    torch.testing.assert_close(knowledge.weights(), confidence_weights(knowledge.log_probabilities(), sample.labels))
    assert not knowledge.logits().requires_grad


def test_layers_are_the_first_ones(source, make_sample):
    image = make_sample().image[:1]
    assert source.layers() == source.members["a"].layers()
    assert source.shape("last", image) == source.members["a"].shape("last", image)
    source.ask_for(source.layers()[:1])
    assert source.for_batch(make_sample()).features(source.layers()[0]).shape[0] == 4


def test_a_control_replaces_the_maps_of_a_mixture_and_not_its_answers(source, make_sample):
    sample = make_sample()
    target = class_margin(0) if sample.labels.ndim == 1 else lesion_margin(sample.masks)
    controlled = ControlledSource(source, AttributionSource.ANOTHER_PATIENT).prepared(torch.device("cpu"), channels_last=False)
    torch.testing.assert_close(controlled.for_batch(sample).logits(), source.for_batch(sample).logits())
    moved = source.for_batch(sample).attribution("cam", target)[another_patient(None, 4)]
    torch.testing.assert_close(controlled.for_batch(sample).attribution("cam", target), moved)
    assert controlled.layers() == source.layers()
    controlled.ask_for(())
    assert controlled.shape("last", sample.image[:1]) == source.shape("last", sample.image[:1])


def test_the_parts_of_a_source_are_found_wherever_they_are(make_network):
    network = make_network(1)
    averaged, peer, fold = EmaSource(0.9), PeerSource(network), FoldSource([LiveSource(network)])
    whole = ControlledSource(
        MixtureSource({"ema": averaged, "peer": peer, "folds": fold, "a": LiveSource(network)}), AttributionSource.SHUFFLED
    )
    assert list(parts_of(whole, EmaSource)) == [averaged]
    assert list(parts_of(whole, PeerSource)) == [peer]
    assert list(parts_of(whole, FoldSource)) == [fold]
    assert len(list(parts_of(whole, LiveSource))) == 1
    assert list(parts_of(None, EmaSource)) == []
