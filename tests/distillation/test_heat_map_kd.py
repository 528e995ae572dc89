"""Against torch's own divergence of two Bernoulli distributions."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from data_contracts import KnowledgeError
from medkd.distillation.heat_map_kd import heat_map_kd
from tests.distillation.cells import labelled, traced
from tests.knowledge.precomputed import PrecomputedKnowledge


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_it_is_the_divergence_over_the_expected_number_of_hits(temperature):
    draw = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(1, 2, 4, 4, generator=draw) for _ in range(2))
    margins = [(one[:, 1] - one[:, 0]) for one in (teacher, student)]
    wanted = kl_divergence(*(Bernoulli(logits=margin / temperature) for margin in margins)).sum() / margins[0].sigmoid().sum()
    found = heat_map_kd(traced(student), PrecomputedKnowledge(teacher), labelled(), temperature=temperature)
    assert float(found) == pytest.approx(temperature**2 * float(wanted), rel=1e-5)


def test_detectors_of_different_strides_are_refused():
    with pytest.raises(KnowledgeError, match="one stride") as caught:
        heat_map_kd(traced(torch.zeros(1, 2, 4, 4)), PrecomputedKnowledge(torch.zeros(1, 2, 8, 8)), labelled())
    assert caught.value.code == "TAP_SHAPES"
