from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from data_contracts import NetworkSpec, RecipeError
from medkd.distillation.deep_supervision import deep_supervision
from medkd.models._build import build_network
from medkd.trace import Sample, layer_map_of, trace


def traced(heads, n=2):
    options = {"filters": (4, 6, 8, 8), "deep_supervision": heads}
    network = build_network(NetworkSpec(builder="dyn_unet", out_channels=2, options=options), seed=1)
    image = torch.rand(n, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    return network, trace(network, image, layers=layer_map_of(network).deep_heads)


def labels():
    mask = torch.zeros(2, 32, 32, dtype=torch.int64)
    mask[:, 8:24, 4:20] = 1
    return mask


def test_by_hand_cross_entropy_per_level_with_halved_weights():
    _, student = traced(2)
    sample = Sample(inputs=student.inputs, labels=labels())
    first, second = (student.features[name] for name in student.layer_map.deep_heads)
    assert (first.shape[2:], second.shape[2:]) == ((16, 16), (8, 8))
    # labels are blocks that halve exactly: the nearest voxel's label is the block's
    near, far = (functional.cross_entropy(logits, labels()[:, ::step, ::step]) for logits, step in ((first, 2), (second, 4)))
    wanted = (near + 0.5 * far) / 1.5
    assert float(deep_supervision(student, None, sample, dice=0.0)) == pytest.approx(float(wanted), abs=1e-6)


def test_the_gradient_reaches_the_coarse_heads_and_not_the_fine_one():
    network, student = traced(2)
    deep_supervision(student, None, Sample(inputs=student.inputs, labels=labels())).backward()
    assert all(head.weight.grad is not None for head in network.deep_heads)
    assert network.head.weight.grad is None


def test_what_is_padded_or_missing_does_not_count():
    _, student = traced(1)
    valid = torch.ones(2, 32, 32, dtype=torch.bool)
    valid[:, :, 16:] = False
    wrong = labels()
    wrong[:, :, 16:] = 1 - wrong[:, :, 16:]
    first, second = (
        deep_supervision(student, None, Sample(inputs=student.inputs, labels=given, valid_mask=valid)) for given in (labels(), wrong)
    )
    assert float(first) == pytest.approx(float(second))
    missing = torch.full((2, 32, 32), -1)
    assert float(deep_supervision(student, None, Sample(inputs=student.inputs, labels=missing))) == 0.0
    assert float(deep_supervision(student, None, Sample(inputs=student.inputs))) == 0.0


def test_a_network_without_coarser_heads_is_refused():
    _, student = traced(0)
    with pytest.raises(RecipeError) as caught:
        deep_supervision(student, None, Sample(inputs=student.inputs, labels=labels()))
    assert caught.value.code == "RECIPE_NEEDS"
