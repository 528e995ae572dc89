from __future__ import annotations

import torch

from data_contracts import NetworkSpec
from medkd.models._build import build_network
from medkd.models.resnet_with_row import resnet_with_row
from medkd.trace import trace

SPEC = NetworkSpec(builder="resnet_with_row", in_channels=5, row_channels=4, options={"channels": (4, 4, 6, 8)})


def shown(rows, images):
    return torch.cat([images, rows[:, :, None, None].expand(*rows.shape, *images.shape[2:])], 1)


def test_the_row_adds_to_the_logits_of_the_image():
    network = build_network(SPEC, seed=2).eval()
    draw = torch.Generator().manual_seed(0)
    images, rows = torch.randn(3, 1, 16, 16, generator=draw), torch.randn(3, 4, generator=draw)
    answer = network(shown(rows, images))
    torch.testing.assert_close(answer, network.network(images) + network.row(rows))
    assert not torch.allclose(answer, network(shown(rows + 1, images)))
    # The class map accounts for the image's part.
    kept = trace(network, shown(rows, images), layers=("network.layer4",))
    torch.testing.assert_close(kept.feature("network.layer4").mean((2, 3)) @ kept.head_weight().T, network.network(images))


def test_hiding_less_than_half_of_an_image_hides_nothing_of_the_row_and_a_map_shows_the_image_alone():
    network = build_network(SPEC, seed=2).eval()
    image = shown(torch.randn(2, 4), torch.randn(2, 1, 16, 16))
    hidden = image.clone()
    hidden[:, 1:, :7] = -9.0
    torch.testing.assert_close(network(hidden), network(image))
    given = image.clone().requires_grad_()
    network(given)[:, 1].sum().backward()
    assert given.grad[:, 0].abs().sum() > 0 == given.grad[:, 1:].abs().sum()


def test_without_a_row_it_is_the_image_network():
    network = resnet_with_row(SPEC.model_copy(update={"in_channels": 1, "row_channels": 0}), channels=(4, 4, 6, 8)).eval()
    assert network.row is None
    image = torch.randn(2, 1, 16, 16)
    torch.testing.assert_close(network(image), network.network(image))
