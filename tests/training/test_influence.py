"""The cap on feedback against a solution of its own: bisection on the share."""

from __future__ import annotations

import pytest
import torch

from data_contracts import LossTerm
from medkd.trace import Sample, layer_map_of, trace
from medkd.training.adapters import DistillationAdapters
from medkd.training.influence import influence_of
from medkd.training.objective import Objective
from medkd.training.step import DistillationStep, StepBatch

TERMS = (LossTerm(loss="cross_entropy"), LossTerm(loss="right_for_the_right_reasons", weight=50.0))
TASK, FEEDBACK = Objective(TERMS).terms


def by_bisection(feedback, others, cap):
    """Return the largest factor in [0, 1] whose share is within the cap."""
    low, high = 0.0, 1.0
    if feedback / (feedback + others) <= cap:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if middle * feedback <= cap * (middle * feedback + others) else (low, middle)
    return low


@pytest.mark.parametrize("cap", [0.05, 0.2, 0.9])
@pytest.mark.parametrize(("feedback", "others"), [(0.3, 0.01), (0.3, 0.9), (5.0, 1.0), (1e-6, 1.0), (1.0, 1e-4)])
def test_the_factor_is_the_largest_whose_share_is_within_the_cap(feedback, others, cap):
    weighted = [(TASK, 0.5, torch.tensor(2 * others)), (FEEDBACK, 2.0, torch.tensor(feedback / 2, requires_grad=True))]
    found = influence_of(weighted, cap)
    assert float(found.factor) == pytest.approx(by_bisection(feedback, others, cap), rel=1e-4)
    assert float(found.shown["influence"]) <= cap + 1e-6
    assert not found.factor.requires_grad


def test_without_other_terms_or_with_a_loss_below_zero_feedback_weighs_nothing():
    assert float(influence_of([(FEEDBACK, 1.0, torch.tensor(1.0))], 0.2).factor) == 0.0
    assert float(influence_of([(TASK, 1.0, torch.tensor(-1.0)), (FEEDBACK, 1.0, torch.tensor(1.0))], 0.2).factor) == 0.0


def test_without_feedback_or_a_cap_nothing_is_held_back():
    assert influence_of([(TASK, 1.0, torch.tensor(1.0))], 0.2).factor is None
    assert influence_of([(FEEDBACK, 1.0, torch.tensor(1.0))], None).factor is None


@pytest.mark.parametrize("task", ["classification"])
def test_a_step_holds_its_loss_to_the_cap(make_network, make_sample, task):
    network, sample = make_network().train(), make_sample(4)
    sample = Sample(inputs=sample.inputs, labels=sample.labels, masks=sample.masks, forbidden=(sample.masks == 0).to(torch.uint8) * 100)
    steps = {
        cap: DistillationStep(network, Objective(TERMS, influence_cap=cap), None, DistillationAdapters(), None).eval()
        for cap in (0.2, None)
    }
    (capped, shown), (free, _) = (steps[cap](StepBatch(sample)) for cap in (0.2, None))
    kept = trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))
    own = [float(term.function(kept, None, sample)) * term.spec.weight for term in Objective(TERMS).terms]
    assert float(free.detach()) == pytest.approx(sum(own), rel=1e-5)
    assert float(capped.detach()) == pytest.approx(own[0] / 0.8, rel=1e-5)  # the others are the remaining 80 %
    assert float(shown["influence"]) == pytest.approx(0.2, rel=1e-5)
    capped.backward()
    assert any(float(p.grad.abs().max()) > 0 for p in network.parameters() if p.grad is not None)
