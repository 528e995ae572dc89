"""Features pooled over pictures and within masks, against the layer's output taken by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from medkd.inference.pooled_features import patch_round, pooled_features
from medkd.trace import layer_map_of, trace


@pytest.mark.parametrize("task", ["classification"])
@pytest.mark.parametrize("space", [2, 3])
def test_a_classifiers_features_are_the_mean_of_the_layer_that_feeds_its_head(make_network, make_sample):
    network, image = make_network().eval(), make_sample(20).image
    found, layer = pooled_features(network, image)
    assert layer == layer_map_of(network).cam_layer
    with torch.no_grad():
        kept = trace(network, image, layers=(layer,))
    torch.testing.assert_close(found, kept.feature(layer).flatten(2).mean(2), rtol=1e-5, atol=1e-6)
    # The head has no bias: the mean of the features is all that an answer is made of.
    torch.testing.assert_close(found @ kept.head_weight().T, kept.logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", ["segmentation"])
@pytest.mark.parametrize("space", [2, 3])
def test_a_segmenters_features_are_the_mean_of_its_coarsest_layer_by_how_much_of_a_cell_is_inside(make_network, make_sample):
    network, sample = make_network().eval(), make_sample(3)
    found, layer = pooled_features(network, sample.image, sample.masks)
    with torch.no_grad():
        kept = trace(network, sample.image, layers=layer_map_of(network).feature_layers)
    sizes = {name: kept.feature(name)[0, 0].numel() for name in layer_map_of(network).feature_layers}
    assert sizes[layer] == min(sizes.values()) < max(sizes.values())
    # The same by bringing the features to the voxels, each voxel that of its cell.
    fine = functional.interpolate(kept.feature(layer), size=sample.masks.shape[1:], mode="nearest")
    inside = sample.masks[:, None] > 0
    expected = torch.stack([one[:, where[0]].mean(1) for one, where in zip(fine, inside, strict=True)])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    elsewhere = pooled_features(network, sample.image, sample.masks.flip(-1))[0]
    assert not torch.allclose(found, elsewhere)


def test_a_network_is_left_as_it_was(make_network, make_sample, task):
    network, sample = make_network().train(), make_sample(2)
    pooled_features(network, sample.image, None if task == "classification" else sample.masks)
    assert network.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_a_patch_lies_round_the_mask_and_is_padded_where_the_volume_ends():
    image = torch.arange(10 * 10 * 10, dtype=torch.float32).reshape(1, 10, 10, 10)
    mask = torch.zeros(10, 10, 10, dtype=torch.uint8)
    mask[7:9, 4:6, 1:3] = 1
    patch, inside = patch_round(image, mask, (4, 4, 12))
    assert (patch.shape, inside.shape) == ((1, 4, 4, 12), (4, 4, 12))
    assert int(inside.sum()) == int(mask.sum())
    assert torch.equal(patch[0][inside > 0], image[0][mask > 0])
    assert float(patch.min()) == 0.0 == float(patch[0, 0, 0, 0])
