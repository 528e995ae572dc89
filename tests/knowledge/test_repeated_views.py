"""A teacher that is asked before training says what it says when asked in every step."""

from __future__ import annotations

import pytest
import torch

from data_contracts import NetworkSpec
from medkd.knowledge import repeated_views
from medkd.knowledge.interface import LAST, LiveKnowledge
from medkd.knowledge.repeated_views import RepeatedViews, fits
from medkd.knowledge.source import LiveSource
from medkd.models._build import build_network
from medkd.targets import class_margin
from medkd.trace import Sample, layer_map_of


@pytest.fixture
def network():
    return build_network(NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)}), seed=0).eval().requires_grad_(False)


@pytest.fixture
def images():
    return torch.rand(7, 1, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def views(network, images, *, mirrored=True):
    return RepeatedViews(network, images, mirrored=mirrored, layers=(layer_map_of(network).cam_layer,), batch=4)


def test_kept_answers_are_those_of_a_pass_over_any_batch_in_any_order(network, images):
    kept = views(network, images)
    batch = torch.stack([images[5], images[0].flip(-1), images[5].flip(-1), images[3]])
    found = kept.trace_of({"image": batch})
    live = LiveKnowledge(network, {"image": batch})
    torch.testing.assert_close(found.logits, live.logits())
    torch.testing.assert_close(found.feature(layer_map_of(network).cam_layer), live.features(LAST))


def test_an_image_that_was_never_shown_is_not_answered(network, images):
    kept = views(network, images, mirrored=False)
    assert kept.trace_of({"image": images[:2]}) is not None
    assert kept.trace_of({"image": torch.stack([images[0], images[1].flip(-1)])}) is None


def test_two_equal_images_have_one_answer(network, images):
    twice = torch.cat([images[:3], images[:3]])
    found = views(network, twice).trace_of({"image": twice})
    assert torch.equal(found.logits[:3], found.logits[3:])


def test_every_answer_of_a_prepared_source_is_the_live_ones(network, images):
    """Logits, features that are kept and features that are not, class maps, and an explainer that runs passes of its own."""
    live, asked = LiveSource(network), LiveSource(network)
    asked.ask_before(images, mirrored=True, maps=True, batch=4)
    sample = Sample(inputs={"image": torch.stack([images[2].flip(-1), images[6]])})
    target = class_margin(torch.tensor([0, 1]))
    first, second = live.for_batch(sample), asked.for_batch(sample)
    torch.testing.assert_close(second.logits(), first.logits())
    for layer in (LAST, *layer_map_of(network).feature_layers):
        torch.testing.assert_close(second.features(layer), first.features(layer))
    for explainer in ("cam", "saliency"):
        torch.testing.assert_close(second.attribution(explainer, target), first.attribution(explainer, target))


def test_a_step_makes_no_pass_of_the_teacher_any_more(network, images):
    source = LiveSource(network)
    source.ask_before(images, mirrored=True, maps=True, batch=4)
    passes = []
    network.register_forward_hook(lambda *_: passes.append(1))
    knowledge = source.for_batch(Sample(inputs={"image": images[:4]}))
    knowledge.logits(), knowledge.attribution("cam", class_margin(torch.zeros(4, dtype=torch.long)))
    assert passes == []


def test_what_does_not_fit_in_memory_is_asked_step_by_step(network, images, monkeypatch):
    assert fits(network, images[:1], views=14, layers=())
    monkeypatch.setattr(repeated_views, "MOST_BYTES", 14 * 2 * 4 - 1)  # logits of two classes, four bytes each
    assert not fits(network, images[:1], views=14, layers=())
