"""By hand: products of the layers' own matrices; rows stay distributions."""

import pytest
import torch

from data_contracts import ExplanationError, NetworkSpec
from medkd.attribution.attention_rollout import attention_rollout
from medkd.models._build import build_network
from medkd.targets import MultiTarget, class_logit
from medkd.trace import trace


def transformer(space=2, **options):
    return build_network(
        NetworkSpec(builder="vit", spatial_dims=space, options={"width": 16, "layers": 2, "heads": 2, **options}), seed=3
    ).eval()


@pytest.mark.parametrize("space", [2, 3])
def test_it_is_the_product_of_attention_with_the_residual(space):
    network, image = transformer(space), torch.randn(2, 1, *(32,) * space)
    found = attention_rollout(trace(network, image), class_logit(1), residual=0.3)
    # The same by other means: queries and keys from the block's own projections.
    tokens = network.trunk.patch_embedding(image)
    rolled = torch.eye(tokens.shape[1]).expand(2, -1, -1)
    for block in network.trunk.blocks:
        attention = block.attn
        q, k, _ = attention.qkv(block.norm1(tokens)).reshape(2, -1, 3, 2, 8).permute(2, 0, 3, 1, 4)
        matrix = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1).mean(1)
        rolled = (0.3 * torch.eye(tokens.shape[1]) + 0.7 * matrix) @ rolled
        tokens = block(tokens)
    patches = rolled.mean(1).detach().reshape(2, *(4,) * space)
    torch.testing.assert_close(patches.flatten(1).sum(1), torch.ones(2))
    mode = "bilinear" if space == 2 else "trilinear"
    torch.testing.assert_close(
        found, torch.nn.functional.interpolate(patches[:, None], size=image.shape[2:], mode=mode)[:, 0], atol=1e-5, rtol=1e-4
    )


def test_every_target_gets_the_same_map_and_none_that_does_not_exist():
    kept = trace(transformer(), torch.randn(1, 1, 32, 32))
    maps = attention_rollout(kept, MultiTarget((class_logit(0), class_logit(1))))
    assert torch.equal(maps[:, 0], maps[:, 1])
    with pytest.raises(ExplanationError):
        attention_rollout(kept, class_logit(9))


def test_a_network_without_attention_is_refused(make_network, make_sample, task):
    with pytest.raises(ExplanationError) as caught:
        attention_rollout(trace(make_network().eval(), make_sample(1).image), class_logit(0))
    assert caught.value.code == "NO_ATTENTION"
