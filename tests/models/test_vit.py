from __future__ import annotations

import pytest
import torch

from data_contracts import NetworkSpec
from medkd.models._build import build_network
from medkd.trace import layer_map_of, trace


@pytest.mark.parametrize(("space", "size", "grid"), [(2, (32, 48), (4, 6)), (3, (16, 32, 24), (2, 4, 3))])
def test_tokens_are_laid_out_where_their_patches_are(space, size, grid):
    """A patch that changes changes its own token most."""
    network = build_network(NetworkSpec(builder="vit", spatial_dims=space, options={"image_size": size}), seed=1).eval()
    image = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(0))
    other = image.clone()
    place = tuple(slice(8 * at, 8 * at + 8) for at in (1,) * space)
    other[(slice(None), slice(None), *place)] += 3.0
    first, second = (trace(network, one, layers=("features",)).feature("features").detach() for one in (image, other))
    assert first.shape[2:] == grid
    moved = (first - second).norm(dim=1)[0]
    assert torch.unravel_index(moved.argmax(), moved.shape) == (1,) * space


def test_its_attention_layers_put_out_distributions():
    network = build_network(NetworkSpec(builder="vit", options={"layers": 3, "heads": 2})).eval()
    layers = layer_map_of(network).attention
    kept = trace(network, torch.randn(2, 1, 32, 32), layers=layers)
    assert len(layers) == 3
    for layer in layers:
        assert kept.feature(layer).shape == (2, 2, 16, 16)
        torch.testing.assert_close(kept.feature(layer).sum(-1), torch.ones(2, 2, 16))


def test_its_classes_read_the_mean_of_the_tokens():
    network = build_network(NetworkSpec(builder="vit", out_channels=3)).eval()
    kept = trace(network, torch.randn(2, 1, 32, 32), layers=("features",))
    torch.testing.assert_close(kept.logits, kept.feature("features").flatten(2).mean(2) @ kept.head_weight().T)
