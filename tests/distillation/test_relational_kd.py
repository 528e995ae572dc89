from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from data_contracts import NetworkSpec
from medkd.distillation.relational_kd import relational_kd
from medkd.knowledge.interface import LiveKnowledge
from medkd.models._build import build_network
from medkd.trace import Sample, layer_map_of, trace


def networks(dims):
    return [
        build_network(NetworkSpec(builder="resnet", spatial_dims=dims, options={"channels": widths}), seed=seed).eval()
        for seed, widths in ((0, (4, 4, 6, 6)), (1, (6, 6, 8, 12)))
    ]


def traced(network, sample):
    return trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))


@pytest.mark.parametrize("shape", [(3, 1, 32, 32), (2, 1, 16, 16, 16)])
def test_it_compares_cosines_between_cells_whatever_the_width(shape):
    student, teacher = networks(len(shape) - 2)
    sample = Sample(inputs={"image": torch.randn(shape, generator=torch.Generator().manual_seed(0))})
    maps = [traced(network, sample).feature(layer_map_of(network).cam_layer) for network in (student, teacher)]
    per_case = []
    for row in range(shape[0]):
        cosines = []
        for features in maps:
            size = [min(2, extent) for extent in features.shape[2:]]
            pool = functional.adaptive_avg_pool2d if len(size) == 2 else functional.adaptive_avg_pool3d
            cells = pool(features[row], size).flatten(1).T
            cosines.append(torch.stack([functional.cosine_similarity(a[None], b[None])[0] for a in cells for b in cells]))
        per_case.append((cosines[0] - cosines[1]).square().mean())
    value = relational_kd(traced(student, sample), LiveKnowledge(teacher, sample.inputs), sample, grid=2)
    assert float(value) == pytest.approx(float(torch.stack(per_case).mean()), rel=1e-4)


def test_brighter_features_relate_as_before():
    student, _ = networks(2)
    sample = Sample(inputs={"image": torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))})
    own = LiveKnowledge(student, sample.inputs)
    assert float(relational_kd(traced(student, sample), own, sample)) == pytest.approx(0, abs=1e-9)
