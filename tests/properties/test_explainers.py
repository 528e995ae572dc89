"""Properties that every explainer of the catalogue keeps."""

from __future__ import annotations

import pytest
import torch

from data_contracts import DataError, ExplanationError, NetworkSpec
from medkd.attribution._attribute import attribute
from medkd.attribution.gap_attribution import Difference
from medkd.catalogue import EXPLAINERS
from medkd.knowledge.interface import LiveKnowledge
from medkd.measures.model_parameter_randomisation import FAILS_ABOVE, model_parameter_randomisation
from medkd.models._build import build_network
from medkd.targets import MultiTarget, class_logit, class_margin, lesion_margin
from medkd.trace import frozen, layer_map_of, trace
from tests.properties.applies import holds_where, once, once_per_entry

NAMES = [name for name in EXPLAINERS.names() if EXPLAINERS.entry(name).fact("RETURNS", "map") == "map"]
CATALOGUE = EXPLAINERS
#: What keeps the properties quick: they hold for few samples as for many.
QUICK = {
    "gradient_shap": {"samples": 4},
    "integrated_gradients": {"steps": 8},
    "kernel_shap": {"players": 9, "samples": 24},
    "lime": {"players": 9, "samples": 24},
    "occlusion": {"cells": 3},
    "smooth_grad": {"samples": 3},
}


@pytest.fixture(params=NAMES)
def entry(request, task):
    return EXPLAINERS.entry(request.param)


@pytest.fixture
def make_network(make_network, entry, space):
    """Return the maker of networks, of transformers where attention is needed."""
    if "attention" not in entry.fact("NEEDS", ()):
        return make_network
    options = {"image_size": (32, 32) if space == 2 else (8, 32, 32), "patch": 4 if space == 2 else 8, "width": 16, "layers": 2}
    return lambda seed=0: build_network(NetworkSpec(builder="vit", spatial_dims=space, options=options), seed=seed)


@pytest.fixture
def given(entry, make_network):
    """Return the options that an entry cannot do without."""
    return {"teacher": make_network(7).eval()} if "teacher" in entry.fact("NEEDS", ()) else {}


@pytest.fixture
def explain(entry, given):
    """Return the report's way into the catalogue."""

    def run(network, image, target, **options):
        return attribute(network, image, target, explainer=entry.name, options={**QUICK.get(entry.name, {}), **given, **options})

    return run


@pytest.fixture
def target(task, make_sample):
    return class_margin(1) if task == "classification" else lesion_margin(make_sample(2).masks)


def frozen_trace(network, image):
    return trace(network, image, layers=(layer_map_of(network).cam_layer,))


@once_per_entry
def test_an_explainer_declares_its_properties(entry):
    for fact in ("SIGNED", "COMPLETE", "ADDITIVE", "DIFFERENTIABLE", "PASSES_RANDOMISATION"):
        assert isinstance(entry.fact(fact), bool)
    assert entry.fact("SOURCE")
    assert entry.fact("ACCESS") in {"white box", "black box"}


def test_a_map_is_finite_float32_on_the_grid_of_the_image(entry, explain, make_network, make_sample, target):
    image = make_sample(2).image
    attribution = explain(make_network().eval(), image, target)
    assert attribution.shape == (2, *image.shape[2:])
    assert attribution.dtype == torch.float32
    assert bool(attribution.isfinite().all())
    assert not attribution.requires_grad


def test_an_explanation_leaves_the_network_as_it_was(entry, explain, make_network, make_sample, target):
    network = make_network().train()
    first = next(network.parameters())
    first.requires_grad_(False)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    explain(network, make_sample(2).image, target)
    assert all(module.training for module in network.modules())
    assert [p.requires_grad for p in network.parameters()].count(False) == 1
    assert all(p.grad is None for p in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_an_explanation_that_fails_leaves_the_network_as_it_was(entry, explain, make_network, make_sample):
    network = make_network().train()
    with pytest.raises(ExplanationError):
        explain(network, make_sample(2).image, class_logit(99))
    assert all(module.training for module in network.modules())
    assert all(p.requires_grad for p in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


@once
def test_an_image_with_nan_is_refused(entry, explain, make_network, make_sample, target):
    image = make_sample(2).image
    image[0, 0, 3, 3] = float("nan")
    with pytest.raises(DataError) as caught:
        explain(make_network().eval(), image, target)
    assert caught.value.code == "IMAGE_NOT_FINITE"


def test_the_same_question_gives_the_same_map(entry, explain, make_network, make_sample, target):
    network, image = make_network().eval(), make_sample(2).image
    first = explain(network, image, target)
    torch.rand(7)
    assert torch.equal(first, explain(network, image, target))


def test_the_global_generator_is_left_as_it_was(entry, explain, make_network, make_sample, target):
    network, image = make_network().eval(), make_sample(2).image
    before = torch.get_rng_state()
    explain(network, image, target)
    assert torch.equal(before, torch.get_rng_state())


def test_cases_are_explained_independently_of_their_batch(entry, explain, make_network, make_sample, task):
    network, sample = make_network().eval(), make_sample(3)
    whole_target = class_margin(torch.tensor([1, 0, 1])) if task == "classification" else lesion_margin(sample.masks)
    one_target = class_margin(0) if task == "classification" else lesion_margin(sample.masks[1:2])
    whole = explain(network, sample.image, whole_target)
    alone = explain(network, sample.image[1:2], one_target)
    torch.testing.assert_close(whole[1:2], alone, atol=1e-5, rtol=1e-4)


@holds_where(lambda entry, *_: entry.fact("PASSES_RANDOMISATION"))
def test_maps_change_when_the_weights_are_drawn_anew(entry, explain, given, make_network, make_sample, target):
    image = make_sample(2).image

    def drawn(seed):
        other = {"teacher": make_network(seed + 20).eval()} if given else {}
        if "players" in entry.options():
            other = {"players": 32, "samples": 64}  # the ranks of nine regions agree by chance
        if entry.name == "occlusion":
            other = {"cells": 8 if image.ndim == 4 else 3}  # so do those of five windows an axis, where a lesion fills one
        return explain(make_network(seed).eval(), image, target, **other)

    similarity = torch.stack([model_parameter_randomisation(drawn(seed), drawn(seed + 50)) for seed in range(4)])
    assert float(similarity.nanmedian()) <= FAILS_ABOVE


@holds_where(lambda entry, *_: entry.fact("COMPLETE"))
def test_complete_maps_sum_to_the_difference_of_scores(entry, explain, given, make_network, make_sample, target):
    network, image = make_network().eval(), make_sample(2).image
    attribution = explain(network, image, target, **entry.fact("COMPLETE_WITH", {}))
    explained = Difference(given["teacher"], network) if "teacher" in given else network
    with torch.no_grad():
        gap = target(explained(image)) - target(explained(torch.full_like(image, -1.0)))
    torch.testing.assert_close(attribution.flatten(1).sum(1), gap, rtol=0.03, atol=0.03 * float(gap.abs().max()))


@holds_where(lambda entry, task, _: entry.fact("ADDITIVE") and task == "classification")
def test_additive_explainers_explain_a_margin_as_a_difference(entry, explain, make_network, make_sample, task):
    network, image = make_network().eval(), make_sample(2).image
    one, other = (explain(network, image, class_logit(index)) for index in (1, 0))
    torch.testing.assert_close(explain(network, image, class_margin(1)), one - other, atol=1e-5, rtol=1e-3)


def test_several_targets_are_explained_as_each_alone(entry, explain, make_network, make_sample, task):
    network, sample = make_network().eval(), make_sample(1)
    if task == "classification":
        parts = (class_logit(0), class_margin(1))
    else:
        lower = torch.zeros_like(sample.masks)
        lower[..., 25:29, 20:24] = 1
        parts = (lesion_margin(sample.masks), lesion_margin(lower))
    together = explain(network, sample.image, MultiTarget(parts))
    assert together.shape == (1, 2, *sample.image.shape[2:])
    for index, part in enumerate(parts):
        torch.testing.assert_close(together[:, index], explain(network, sample.image, part), atol=1e-5, rtol=1e-4)


@holds_where(lambda entry, task, _: entry.fact("ADDITIVE") and task == "segmentation")
def test_additive_maps_of_lesions_sum_to_the_map_of_their_union(entry, explain, make_network, make_sample, task):
    network, sample = make_network().eval(), make_sample(1)
    first, second = sample.masks.clone(), torch.zeros_like(sample.masks)
    second[..., 24:30, 22:30] = 1
    maps = explain(network, sample.image, MultiTarget((lesion_margin(first), lesion_margin(second), lesion_margin(first | second))))
    scale = float(maps.abs().max())
    torch.testing.assert_close(maps[:, 0] + maps[:, 1], maps[:, 2], atol=1e-4 * scale, rtol=1e-3)


def test_both_callers_get_the_same_map(entry, explain, given, make_network, make_sample, target):
    """The report's map and the loss's map are one function: equal under frozen statistics."""
    network, sample = make_network().eval(), make_sample(2)
    report = explain(network, sample.image, target)
    if not entry.fact("DIFFERENTIABLE"):
        with pytest.raises(ExplanationError) as caught:
            entry.function(frozen_trace(network, sample.image), target, differentiable=True, **given)
        assert caught.value.code == "NOT_DIFFERENTIABLE"
        return
    in_loss = entry.function(frozen_trace(network, sample.image), target, differentiable=True)
    torch.testing.assert_close(report, in_loss.detach(), atol=1e-6, rtol=1e-5)
    assert in_loss.requires_grad


@holds_where(lambda entry, *_: "teacher" not in entry.fact("NEEDS", ()))
def test_the_teacher_is_explained_by_the_same_function(entry, explain, make_network, make_sample, target):
    teacher, sample = make_network(3).eval(), make_sample(2)
    live = LiveKnowledge(teacher, sample.inputs).attribution(entry.name, target, **QUICK.get(entry.name, {}))
    torch.testing.assert_close(live, explain(teacher, sample.image, target), atol=1e-6, rtol=1e-5)
    assert not live.requires_grad


@holds_where(lambda entry, *_: entry.fact("DIFFERENTIABLE"))
def test_a_differentiable_map_pulls_on_the_weights(entry, make_network, make_sample, target):
    network = make_network().eval()
    entry.function(frozen_trace(network, make_sample(2).image), target, differentiable=True).square().sum().backward()
    assert any(p.grad is not None and float(p.grad.abs().max()) > 0 for p in network.parameters())


def test_a_frozen_network_can_be_explained(entry, explain, make_network, make_sample, target):
    network = make_network()
    with frozen(network):
        attribution = explain(network, make_sample(2).image, target)
    assert bool(attribution.isfinite().all())
