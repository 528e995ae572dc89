from __future__ import annotations

import pytest
import torch

from data_contracts import DataError, KnowledgeError, NetworkSpec, SynthesisConfig
from medkd.models._build import build_network
from medkd.synthesis.invert import invert, noise_levels, pictures_of, variation

CONFIG = SynthesisConfig(cases=8, steps=40, batch_size=8, shift=1, mirror=False)
TARGETS = torch.arange(8) % 2


@pytest.fixture(scope="module")
def made(trained_network):
    start = noise_levels(8, (16, 16), 1)
    return pictures_of(start), *invert(trained_network, start, TARGETS, CONFIG, seed=3)


def test_the_teacher_answers_with_the_drawn_classes_and_its_statistics_are_met(trained_network, made):
    start, pictures, figures = made
    with torch.no_grad():
        before, after = (torch.nn.functional.cross_entropy(trained_network(images), TARGETS) for images in (start, pictures))
        answers = trained_network(pictures).argmax(1)
    assert after < 0.7 * before
    assert (answers == TARGETS).float().mean() >= 0.75
    assert pictures.shape == (8, 1, 16, 16)
    assert float(pictures.abs().max()) <= 1
    assert figures["statistics"] < 1


def test_the_same_seed_gives_the_same_pictures_and_another_others(trained_network, made):
    torch.manual_seed(99)  # whatever was drawn before
    again, _ = invert(trained_network, noise_levels(8, (16, 16), 1), TARGETS, CONFIG, seed=3)
    other, _ = invert(trained_network, noise_levels(8, (16, 16), 1), TARGETS, CONFIG, seed=4)
    assert torch.equal(made[1], again)
    assert not torch.equal(made[1], other)


def test_the_teacher_is_given_back_as_it_came(trained_network):
    weights = {name: value.clone() for name, value in trained_network.state_dict().items()}
    trained_network.train()
    invert(trained_network, noise_levels(4, (16, 16), 1), TARGETS[:4], CONFIG.model_copy(update={"steps": 2, "batch_size": 4}))
    assert trained_network.training
    trained_network.eval()
    assert all(torch.equal(value, weights[name]) for name, value in trained_network.state_dict().items())
    assert all(parameter.grad is None or not parameter.grad.isnan().any() for parameter in trained_network.parameters())
    assert all(parameter.requires_grad for parameter in trained_network.parameters())


def test_weights_pull_as_they_say(trained_network):
    def made_with(**changes):
        config = CONFIG.model_copy(update={"steps": 15, **changes})
        return invert(trained_network, noise_levels(8, (16, 16), 1), TARGETS, config)

    plain, _ = made_with()
    smooth, _ = made_with(total_variation=20.0)
    small, _ = made_with(norm=20.0)
    _, free = made_with(norm=20.0, statistics=0.0)
    _, bound = made_with(norm=20.0, statistics=50.0)
    assert variation(smooth) < 0.8 * variation(plain)
    assert small.square().mean() < 0.8 * plain.square().mean()
    assert bound["statistics"] < free["statistics"]


def test_variation_by_hand():
    picture = torch.tensor([[[[0.0, 1.0], [0.0, 3.0]]]])
    # Down: (0, 2), mean of squares 2; across: (1, 3), mean of squares 5.
    assert float(variation(picture)) == 7.0


def test_what_cannot_be_made_is_said(trained_network):
    untrained = build_network(NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)}))
    with pytest.raises(KnowledgeError) as caught:
        invert(untrained, noise_levels(4, (16, 16), 1), TARGETS[:4], CONFIG)
    assert caught.value.code == "STATISTICS_MISSING"
    broken = [level * float("nan") for level in noise_levels(4, (16, 16), 1)]
    with pytest.raises(DataError, match=r"lower student\.synthesis.learning_rate") as lost:
        invert(trained_network, broken, TARGETS[:4], CONFIG)
    assert lost.value.code == "SYNTHESIS_NOT_FINITE"
