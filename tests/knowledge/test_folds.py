from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from data_contracts import KnowledgeError
from medkd.knowledge.folds import FoldSource, StackedNetworks, may_answer
from medkd.knowledge.source import LiveSource


@pytest.fixture
def networks(make_network):
    return [make_network(seed).eval().requires_grad_(False) for seed in (1, 2, 3)]


@pytest.mark.parametrize("space", [2, 3])
def test_one_pass_answers_as_one_after_another_do(networks, make_sample):
    image = make_sample().image
    stacked = StackedNetworks(networks)
    found = stacked.logits(image)
    assert stacked.reason == ""  # nothing fell back
    torch.testing.assert_close(found, torch.stack([network(image) for network in networks]), atol=1e-5, rtol=1e-5)
    assert not found.requires_grad


class Stubborn(nn.Module):
    """A layer whose way depends on its values, which no vectorised call can take."""

    def forward(self, values):
        return values if float(values.sum()) > 0 else -values


def test_a_layer_that_cannot_be_vectorised_is_asked_one_after_another_with_the_reason(caplog):
    networks = [nn.Sequential(nn.Conv2d(1, 2, 1), Stubborn()).eval() for _ in range(2)]
    stacked = StackedNetworks(networks)
    image = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(stacked.logits(image), torch.stack([network(image) for network in networks]))
    assert "vmap" in stacked.reason
    assert "FOLDS_ONE_BY_ONE" in caplog.text
    stacked.logits(image)
    assert caplog.text.count("FOLDS_ONE_BY_ONE") == 1  # said once


def test_nobody_answers_for_a_patient_that_it_was_trained_on(networks, make_sample):
    sample = replace(make_sample(), patients=torch.tensor([11, 22, 33, 99]))
    held_out = (frozenset({11}), frozenset({22}), frozenset({33}))
    source = FoldSource([LiveSource(network) for network in networks], held_out, out_of_fold=True).prepared(
        torch.device("cpu"), channels_last=False
    )
    knowledge = source.for_batch(sample)
    alone = torch.stack([network(sample.image).log_softmax(1) for network in networks])
    for case in range(3):
        torch.testing.assert_close(knowledge.logits()[case], alone[case, case], atol=1e-5, rtol=1e-5)
    # A stranger is answered by all.
    torch.testing.assert_close(knowledge.logits()[3], alone[:, 3].exp().mean(0).log(), atol=1e-5, rtol=1e-5)
    mean = FoldSource([LiveSource(network) for network in networks]).for_batch(sample).logits()
    torch.testing.assert_close(mean, alone.exp().mean(0).log(), atol=1e-5, rtol=1e-5)


def test_who_may_answer_follows_from_whom_folds_leave_out():
    assert may_answer(torch.tensor([1, 2, 7]), (frozenset({1}), frozenset({2}))).tolist() == [[1, 0, 1], [0, 1, 1]]
    both = (frozenset({1}), frozenset({1}))
    assert may_answer(torch.tensor([1]), both).tolist() == [[1], [1]]


def test_cases_of_nobody_are_not_asked_out_of_fold(networks, make_sample):
    source = FoldSource([LiveSource(network) for network in networks], (frozenset(),) * 3, out_of_fold=True)
    with pytest.raises(KnowledgeError, match="whose they are"):
        source.for_batch(make_sample())


def test_answers_that_were_asked_before_are_the_same(networks, make_sample, task):
    sample = make_sample()
    source = FoldSource([LiveSource(network) for network in networks])
    before = source.for_batch(sample).logits()
    source.ask_before(sample.image, mirrored=True, maps=True, batch=2)
    assert all(member.knows(sample) for member in source.members)
    torch.testing.assert_close(source.for_batch(sample).logits(), before, atol=1e-5, rtol=1e-5)
    assert source.layers() == source.members[0].layers()
    assert source.shape("last", sample.image[:1])[0] == 1
    del task
