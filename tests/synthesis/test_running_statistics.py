from __future__ import annotations

import pytest
import torch
from torch import nn

from data_contracts import KnowledgeError, NetworkSpec
from medkd.models._build import build_network
from medkd.synthesis.running_statistics import StatisticsDistance, normalisations, require_statistics
from medkd.trace import trace


class One(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(2)

    def forward(self, image):
        return self.norm(image).mean((2, 3))


def distance_of(network, images):
    distance = StatisticsDistance(network)
    trace(network, images, on_input=distance.watcher)
    return distance.taken()


def test_by_hand_in_units_of_what_was_kept():
    network = One().eval()
    network.norm.running_mean[:] = torch.tensor([1.0, 0.0])
    network.norm.running_var[:] = torch.tensor([4.0, 1.0])
    network.norm.num_batches_tracked.fill_(1)
    images = torch.stack([torch.stack([torch.full((2, 2), 3.0), torch.full((2, 2), -1.0)]) for _ in range(3)])
    images[..., 0] += 1.0
    images[..., 1] -= 1.0
    # Means 3 and -1, variance 1 each: ((3 - 1)^2 / 4 + log(1 / 4)^2 / 4 + (-1)^2 / 1 + 0) / 2.
    wanted = (1.0 + torch.log(torch.tensor(0.25)).square() / 4 + 1.0) / 2
    torch.testing.assert_close(distance_of(network, images), wanted, rtol=1e-4, atol=1e-4)


def test_the_batches_that_were_kept_are_nearer_than_others_and_nothing_is_changed(trained_network):
    before = {name: value.clone() for name, value in trained_network.state_dict().items()}
    own = torch.full((8, 1, 16, 16), -0.5)
    own[0::2, :, 5:11, 5:11] = own[1::2, :, 4:12:2] = 0.8
    assert distance_of(trained_network, own) < 0.2 * distance_of(trained_network, torch.randn(8, 1, 16, 16))
    assert all(torch.equal(value, before[name]) for name, value in trained_network.state_dict().items())
    assert not any(module._forward_hooks for module in trained_network.modules())


@pytest.mark.parametrize("norm", ["instance", "untrained", "unit"])
def test_a_network_that_keeps_nothing_is_refused_in_one_sentence(norm):
    network = {
        "instance": lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.InstanceNorm2d(2)),
        "untrained": lambda: build_network(NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)})),
        "unit": lambda: nn.Sequential(nn.BatchNorm2d(2, track_running_stats=False)),
    }[norm]()
    with pytest.raises(KnowledgeError, match=r"expected a teacher with running statistics .* the teacher keeps none") as caught:
        require_statistics(network, "the teacher")
    assert caught.value.code == "STATISTICS_MISSING"


def test_every_normalisation_of_a_trained_network_counts(trained_network):
    assert len(normalisations(trained_network)) == sum(isinstance(module, nn.BatchNorm2d) for module in trained_network.modules()) > 4
