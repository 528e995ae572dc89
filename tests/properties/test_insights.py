"""Properties of the catalogue's explainers that give no map: images, layers, peaks, boundaries, counterfactuals."""

from __future__ import annotations

from dataclasses import is_dataclass

import pytest
import torch

from data_contracts import ExplanationError
from medkd.catalogue import EXPLAINERS
from medkd.targets import class_logit, class_margin, lesion_margin
from medkd.trace import trace
from tests.properties.applies import once_per_entry

NAMES = [name for name in EXPLAINERS.names() if EXPLAINERS.entry(name).fact("RETURNS", "map") != "map"]
CATALOGUE = EXPLAINERS
QUICK = {"activation_maximisation": {"steps": 3}, "adversarial": {"steps": 4}, "decision_boundary": {"points": 3}}


@pytest.fixture(params=NAMES)
def entry(request):
    return EXPLAINERS.entry(request.param)


@pytest.fixture
def target(task, make_sample):
    return class_margin(1) if task == "classification" else lesion_margin(make_sample(2).masks)


def ask(entry, network, image, target):
    torch.manual_seed(5)
    return entry.function(trace(network, image), target, **QUICK.get(entry.name, {}))


def flat(found):
    """Return every number of an answer."""
    if isinstance(found, torch.Tensor):
        return [found.detach().double().flatten()]
    if is_dataclass(found):
        return [part for value in vars(found).values() for part in flat(value)]
    if isinstance(found, (tuple, list)):
        return [part for value in found for part in flat(value)]
    return [torch.tensor([float(found)], dtype=torch.double)] if isinstance(found, (int, float)) else []


def test_there_are_the_named_ones():
    assert {"activation_maximisation", "layer_trace", "response_peaks", "decision_boundary", "adversarial"} <= set(NAMES)


@once_per_entry
def test_it_declares_its_properties(entry):
    for fact in ("SIGNED", "COMPLETE", "ADDITIVE", "DIFFERENTIABLE", "PASSES_RANDOMISATION"):
        assert isinstance(entry.fact(fact), bool)
    assert entry.fact("SCOPE") in {"local", "global"}
    assert entry.fact("ACCESS") in {"white box", "black box"}
    assert entry.fact("SOURCE")


def test_the_same_question_gives_the_same_answer(entry, make_network, make_sample, target):
    network, image = make_network().eval(), make_sample(2).image
    first, second = (torch.cat(flat(ask(entry, network, image, target))) for _ in range(2))
    torch.testing.assert_close(first, second, equal_nan=True, rtol=0, atol=0)
    assert len(first)


def test_the_network_is_left_as_it_was(entry, make_network, make_sample, target):
    network = make_network().train()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    given = make_sample(2).image
    image = given.clone()
    with torch.no_grad():
        kept = trace(network.eval(), image)
    network.train()
    entry.function(kept, target, **QUICK.get(entry.name, {}))
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(image, given)


def test_it_depends_on_the_weights(entry, make_network, make_sample, target):
    image = make_sample(2).image
    one, other = (flat(ask(entry, make_network(seed).eval(), image, target)) for seed in (0, 1))
    assert not all(a.shape == b.shape and torch.allclose(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


def test_a_class_that_does_not_exist_is_refused(entry, make_network, make_sample):
    with pytest.raises(ExplanationError) as caught:
        ask(entry, make_network().eval(), make_sample(2).image, class_logit(99))
    assert caught.value.code == "TARGET_CLASS"
