from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from data_contracts import LossTerm, NetworkSpec
from medkd.distillation._discriminator import CellDiscriminator
from medkd.distillation.adversarial import adversarial
from medkd.knowledge.interface import LAST
from medkd.knowledge.source import LiveSource
from medkd.models._build import build_network
from medkd.trace import LayerMap, Sample, Trace, with_layer_map
from medkd.training.objective import Objective
from tests.knowledge.precomputed import PrecomputedKnowledge


def case(own, wanted):
    model = with_layer_map(nn.Identity(), LayerMap(feature_layers=("layer",), cam_layer="layer", head=""))
    image = torch.zeros(len(own), 1, *own.shape[2:])
    kept = Trace(model, {"image": image}, {"default": torch.zeros(len(own), 2)}, {"layer": own})
    return kept, PrecomputedKnowledge(torch.zeros(len(own), 2), features={LAST: wanted}), Sample(inputs={"image": image})


class Fixed(nn.Module):
    """Says the first channel."""

    def forward(self, features, rate):
        return 3 * features[:, :1]


def test_by_hand_with_a_known_discriminator():
    own, wanted = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    own[:, 0], wanted[:, 0] = -2.0, 5.0  # directions -1 and +1: the discriminator says -3 and 3
    value = adversarial(*case(own, wanted), discriminator=Fixed())
    assert float(value) == pytest.approx(math.log(2) - math.log1p(math.exp(-3)), rel=1e-5)
    assert float(adversarial(*case(wanted, wanted), discriminator=Fixed())) < 0


def test_the_student_goes_down_and_the_discriminator_up():
    draw = torch.Generator().manual_seed(0)
    own = torch.randn(4, 3, 2, 2, generator=draw).requires_grad_()
    wanted = torch.randn(4, 3, 2, 2, generator=draw) + 1
    torch.manual_seed(0)
    judge = CellDiscriminator(3)
    value = adversarial(*case(own, wanted), discriminator=judge, rate=1.0)
    value.backward()
    with torch.no_grad():
        nearer = adversarial(*case(own - 0.5 * own.grad / own.grad.norm(), wanted), discriminator=judge, rate=1.0)
        for weight in judge.parameters():
            weight -= 0.1 * weight.grad  # an optimiser's step
        sharper = adversarial(*case(own, wanted), discriminator=judge, rate=1.0)
    assert float(nearer) < float(value) < float(sharper)


def test_a_discriminator_learns_to_tell_features_apart_and_a_rate_slows_it():
    draw = torch.Generator().manual_seed(0)
    own, wanted = torch.randn(32, 3, 2, 2, generator=draw), torch.randn(32, 3, 2, 2, generator=draw).abs()
    ends = []
    for rate in (1.0, 0.05, 0.0):
        torch.manual_seed(0)
        judge = CellDiscriminator(3)
        optimiser = torch.optim.Adam(judge.parameters(), lr=0.05)
        for _ in range(40):
            optimiser.zero_grad()
            value = adversarial(*case(own, wanted), discriminator=judge, rate=rate)
            value.backward()
            optimiser.step()
        ends.append(float(value.detach()))
    assert ends[0] > 0.2
    assert ends[0] > ends[1] > ends[2]


def test_an_objective_makes_and_trains_a_discriminator_beside_the_student():
    student, teacher = (
        build_network(NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, last)}), seed=last).eval() for last in (8, 12)
    )
    objective = Objective((LossTerm(loss="adversarial"),))
    adapters = objective.connect(student, LiveSource(teacher), torch.zeros(1, 1, 16, 16))
    assert adapters.discriminators["adversarial:0"].hidden_drawn.shape == (16, 13)
    assert adapters.projectors["adversarial:0"].weight.shape[:2] == (12, 8)
    assert {name.partition(".")[0] for name, _ in adapters.named_parameters()} == {"projectors", "discriminators"}
    # What was drawn is part of the state: a run that is killed goes on against the same one.
    assert "discriminators.adversarial:0.hidden_drawn" in adapters.state_dict()
