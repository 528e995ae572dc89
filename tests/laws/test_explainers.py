"""Laws that every explainer of the catalogue keeps."""

from __future__ import annotations

import pytest
import torch

from data_contracts import DataError, ExplanationError
from medkd.attribution._attribute import attribute
from medkd.catalogue import EXPLAINERS
from medkd.knowledge.interface import LiveKnowledge
from medkd.measures.randomisation import FAILS_ABOVE, randomisation
from medkd.targets import class_logit, class_margin, lesion_margin
from medkd.trace import anatomy_of, frozen, trace

NAMES = EXPLAINERS.names()


@pytest.fixture(params=NAMES)
def entry(request, task):
    found = EXPLAINERS.entry(request.param)
    if task not in found.fact("TASKS"):
        pytest.skip(f"{found.name} is not for {task}")
    return found


@pytest.fixture
def target(task, make_sample):
    return class_margin(1) if task == "classification" else lesion_margin(make_sample(2).masks)


def frozen_trace(network, image):
    return trace(network, image, layers=(anatomy_of(network).cam_layer,))


def test_an_explainer_declares_its_properties(entry):
    for fact in ("SIGNED", "COMPLETE", "ADDITIVE", "DIFFERENTIABLE", "PASSES_RANDOMISATION"):
        assert isinstance(entry.fact(fact), bool)
    assert entry.fact("SOURCE")
    assert entry.fact("ACCESS") in {"white box", "black box"}


def test_a_map_is_finite_float32_on_the_grid_of_the_image(entry, make_network, make_sample, target):
    image = make_sample(2).image
    attribution = attribute(make_network().eval(), image, target, explainer=entry.name)
    assert attribution.shape == (2, *image.shape[2:])
    assert attribution.dtype == torch.float32
    assert bool(attribution.isfinite().all())
    assert not attribution.requires_grad


def test_an_explanation_leaves_the_network_as_it_was(entry, make_network, make_sample, target):
    network = make_network().train()
    first = next(network.parameters())
    first.requires_grad_(False)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    attribute(network, make_sample(2).image, target, explainer=entry.name)
    assert all(module.training for module in network.modules())
    assert [p.requires_grad for p in network.parameters()].count(False) == 1
    assert all(p.grad is None for p in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_an_explanation_that_fails_leaves_the_network_as_it_was(entry, make_network, make_sample):
    network = make_network().train()
    with pytest.raises(ExplanationError):
        attribute(network, make_sample(2).image, class_logit(99), explainer=entry.name)
    assert all(module.training for module in network.modules())
    assert all(p.requires_grad for p in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_an_image_with_nan_is_refused(entry, make_network, make_sample, target):
    image = make_sample(2).image
    image[0, 0, 3, 3] = float("nan")
    with pytest.raises(DataError) as caught:
        attribute(make_network().eval(), image, target, explainer=entry.name)
    assert caught.value.code == "IMAGE_NOT_FINITE"


def test_the_same_question_gives_the_same_map(entry, make_network, make_sample, target):
    network, image = make_network().eval(), make_sample(2).image
    first = attribute(network, image, target, explainer=entry.name)
    torch.rand(7)
    assert torch.equal(first, attribute(network, image, target, explainer=entry.name))


def test_the_global_generator_is_left_as_it_was(entry, make_network, make_sample, target):
    network, image = make_network().eval(), make_sample(2).image
    before = torch.get_rng_state()
    attribute(network, image, target, explainer=entry.name)
    assert torch.equal(before, torch.get_rng_state())


def test_cases_are_explained_independently_of_their_batch(entry, make_network, make_sample, task):
    network, sample = make_network().eval(), make_sample(3)
    whole_target = class_margin(torch.tensor([1, 0, 1])) if task == "classification" else lesion_margin(sample.masks)
    one_target = class_margin(0) if task == "classification" else lesion_margin(sample.masks[1:2])
    whole = attribute(network, sample.image, whole_target, explainer=entry.name)
    alone = attribute(network, sample.image[1:2], one_target, explainer=entry.name)
    torch.testing.assert_close(whole[1:2], alone, atol=1e-5, rtol=1e-4)


def test_maps_change_when_the_weights_are_drawn_anew(entry, make_network, make_sample, target):
    if not entry.fact("PASSES_RANDOMISATION"):
        pytest.skip(f"{entry.name} does not claim it")
    image = make_sample(2).image
    similarity = torch.stack(
        [
            randomisation(
                attribute(make_network(seed).eval(), image, target, explainer=entry.name),
                attribute(make_network(seed + 50).eval(), image, target, explainer=entry.name),
            )
            for seed in range(4)
        ]
    )
    assert float(similarity.nanmedian()) <= FAILS_ABOVE


def test_complete_maps_sum_to_the_difference_of_scores(entry, make_network, make_sample, target):
    if not entry.fact("COMPLETE"):
        pytest.skip(f"{entry.name} does not declare completeness")
    network, image = make_network().eval(), make_sample(2).image
    attribution = attribute(network, image, target, explainer=entry.name, options={"steps": 128, "baseline": -1.0})
    with torch.no_grad():
        gap = target(network(image)) - target(network(torch.full_like(image, -1.0)))
    torch.testing.assert_close(attribution.flatten(1).sum(1), gap, rtol=0.03, atol=0.03 * float(gap.abs().max()))


def test_additive_explainers_explain_a_margin_as_a_difference(entry, make_network, make_sample, task):
    if not entry.fact("ADDITIVE") or task != "classification":
        pytest.skip("additivity over classes is asked of classifiers")
    network, image = make_network().eval(), make_sample(2).image
    one, other = (attribute(network, image, class_logit(index), explainer=entry.name) for index in (1, 0))
    torch.testing.assert_close(attribute(network, image, class_margin(1), explainer=entry.name), one - other, atol=1e-5, rtol=1e-3)


def test_both_callers_get_the_same_map(entry, make_network, make_sample, target):
    """The report's map and the loss's map are one function: equal under frozen statistics."""
    network, sample = make_network().eval(), make_sample(2)
    report = attribute(network, sample.image, target, explainer=entry.name)
    if not entry.fact("DIFFERENTIABLE"):
        with pytest.raises(ExplanationError) as caught:
            entry.function(frozen_trace(network, sample.image), target, differentiable=True)
        assert caught.value.code == "NOT_DIFFERENTIABLE"
        return
    in_loss = entry.function(frozen_trace(network, sample.image), target, differentiable=True)
    torch.testing.assert_close(report, in_loss.detach(), atol=1e-6, rtol=1e-5)
    assert in_loss.requires_grad


def test_the_teacher_is_explained_by_the_same_function(entry, make_network, make_sample, target):
    teacher, sample = make_network(3).eval(), make_sample(2)
    live = LiveKnowledge(teacher, sample.inputs).attribution(entry.name, target)
    torch.testing.assert_close(live, attribute(teacher, sample.image, target, explainer=entry.name), atol=1e-6, rtol=1e-5)
    assert not live.requires_grad


def test_a_differentiable_map_pulls_on_the_weights(entry, make_network, make_sample, target):
    if not entry.fact("DIFFERENTIABLE"):
        pytest.skip(f"{entry.name} has no gradient")
    network = make_network().eval()
    entry.function(frozen_trace(network, make_sample(2).image), target, differentiable=True).square().sum().backward()
    assert any(p.grad is not None and float(p.grad.abs().max()) > 0 for p in network.parameters())


def test_a_frozen_network_can_be_explained(entry, make_network, make_sample, target):
    network = make_network()
    with frozen(network):
        attribution = attribute(network, make_sample(2).image, target, explainer=entry.name)
    assert bool(attribution.isfinite().all())
