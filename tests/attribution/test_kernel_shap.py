"""Against Shapley values by their definition: the mean over all orders of what a player adds."""

import itertools
import math

import pytest
import torch

from medkd.attribution._hide import MaskedInput, supervoxels
from medkd.attribution.kernel_shap import coalitions, kernel_shap, shapley_fit
from medkd.targets import MultiTarget, class_logit, class_margin, lesion_margin
from medkd.trace import trace
from tests.attribution.networks import linear


def by_definition(value, players):
    """Return the Shapley values of a game: value(set of players) -> number."""
    found = torch.zeros(players, dtype=torch.double)
    for player in range(players):
        others = [p for p in range(players) if p != player]
        for size in range(players):
            share = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            for members in itertools.combinations(others, size):
                found[player] += share * (value({*members, player}) - value(set(members)))
    return found


@pytest.mark.parametrize("players", [2, 3, 6, 8])
def test_a_game_of_few_players_is_solved_exactly(players):
    worth = torch.randn(2**players, generator=torch.Generator().manual_seed(players), dtype=torch.double)

    def value(members):
        return float(worth[sum(1 << player for player in members)])

    kept, weights = coalitions(players, 2**players)
    scores = torch.tensor([[value({p for p in range(players) if row[p]}) - value(set())] for row in kept], dtype=torch.double)
    total = torch.tensor([value(set(range(players))) - value(set())], dtype=torch.double)
    torch.testing.assert_close(shapley_fit(kept, weights, scores, total)[:, 0], by_definition(value, players), atol=1e-9, rtol=1e-9)


def test_regions_of_a_network_get_their_shapley_values(make_network, make_sample, task):
    network, sample = make_network().eval(), make_sample(1)
    target = class_margin(1) if task == "classification" else lesion_margin(sample.masks)
    regions = (torch.arange(32)[:, None] // 16 * 3 + torch.arange(32)[None] // 11).clamp_max(5)

    def value(members):
        kept = torch.tensor([[player in members for player in range(6)]])
        return float(MaskedInput(network, {"image": sample.image}, target, -1.0).keeping(kept, regions))

    found = kernel_shap(trace(network, sample.image), target, samples=64, regions=regions)[0]
    expected = by_definition(value, 6)
    for player in range(6):
        inside = found[regions == player]
        assert float(inside.max() - inside.min()) == 0
        assert float(inside.sum()) == pytest.approx(float(expected[player]), rel=1e-3, abs=1e-4)


def test_of_a_linear_network_drawn_coalitions_are_exact_too():
    network, weight = linear()
    image = torch.randn(1, 1, 8, 8)
    regions = torch.arange(64).reshape(8, 8) // 4
    found = kernel_shap(trace(network, image), MultiTarget((class_logit(0), class_logit(2))), samples=128, baseline=0.0, regions=regions)
    for index, row in enumerate((0, 2)):
        expected = (weight[row] * image[0, 0]).reshape(16, 4).sum(1)
        torch.testing.assert_close(found[0, index].reshape(16, 4).sum(1), expected, atol=1e-4, rtol=1e-4)


def test_one_region_takes_all():
    network, weight = linear()
    image = torch.randn(1, 1, 8, 8)
    found = kernel_shap(trace(network, image), class_logit(1), baseline=0.0, regions=torch.zeros(8, 8, dtype=torch.int64))
    assert float(found.sum()) == pytest.approx(float((weight[1] * image[0, 0]).sum()), rel=1e-4)


@pytest.mark.parametrize("size", [(24, 32), (8, 16, 16)])
def test_supervoxels_number_the_whole_image_and_follow_its_intensity(size):
    image = torch.zeros(1, *size)
    image[..., : size[-1] // 2] = 1.0
    regions = supervoxels(image, 8)
    assert regions.shape == size
    assert sorted(set(regions.flatten().tolist())) == list(range(int(regions.max()) + 1))
    for region in range(int(regions.max()) + 1):
        assert len(set(image[0][regions == region].tolist())) == 1
