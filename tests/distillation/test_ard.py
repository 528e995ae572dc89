from __future__ import annotations

import pytest
import torch

from data_contracts import NetworkSpec
from medkd.distillation.ard import ard, perturbed
from medkd.distillation.logit_kd import logit_kd
from medkd.knowledge.interface import LiveKnowledge
from medkd.models._build import build_network
from medkd.trace import trace


def network(seed):
    return build_network(NetworkSpec(builder="resnet", options={"channels": (4, 4, 6, 8)}), seed=seed).eval()


@pytest.fixture(scope="module")
def pair():
    return network(0), network(1)


@pytest.fixture
def sample(make_sample):
    return make_sample(3)


@pytest.fixture
def task():
    return "classification"


def test_without_steps_it_is_plain_soft_labels(pair, sample):
    student, teacher = pair
    kept, knowledge = trace(student, sample.inputs), LiveKnowledge(teacher, sample.inputs)
    assert float(ard(kept, knowledge, sample, steps=0)) == pytest.approx(float(logit_kd(kept, knowledge, sample)), rel=1e-6)


def test_changes_stay_within_epsilon_and_the_student_answers_otherwise(pair, sample):
    student, teacher = pair
    knowledge = LiveKnowledge(teacher, sample.inputs)
    changed = perturbed(student, sample.image, knowledge.logits(), epsilon=0.1, steps=4)
    assert float((changed - sample.image).abs().max()) == pytest.approx(0.1, abs=1e-6)
    kept = trace(student, sample.inputs)
    assert float(ard(kept, knowledge, sample, epsilon=0.1, steps=4)) > 1.05 * float(logit_kd(kept, knowledge, sample))
    noise = 0.1 * torch.randn(sample.image.shape, generator=torch.Generator().manual_seed(0)).sign()
    disturbed = trace(student, sample.image + noise)
    assert float(ard(kept, knowledge, sample, epsilon=0.1, steps=4)) > float(logit_kd(disturbed, knowledge, sample))


def test_one_step_by_hand_on_a_linear_model(pair):
    """Of a linear model the slope of the margin is its weight: one step goes along its sign, away from the teacher's answer."""
    weight = torch.tensor([[1.0, -2.0], [0.5, 3.0]])

    class Linear(torch.nn.Module):
        def forward(self, image):
            return torch.stack([-(image[:, 0] * weight).sum((1, 2)), (image[:, 0] * weight).sum((1, 2))], 1)

    image = torch.zeros(1, 1, 2, 2)
    found = perturbed(Linear(), image, torch.tensor([[0.0, 5.0]]), epsilon=0.2, steps=1)
    # The teacher says class 1: the student is moved towards class 0, by -sign(weight); 2.5 epsilon is held to epsilon.
    torch.testing.assert_close(found[0, 0], -0.2 * weight.sign())


def test_neither_weights_nor_their_gradients_are_touched_by_the_search(pair, sample):
    student, teacher = pair
    before = {name: value.clone() for name, value in student.state_dict().items()}
    perturbed(student, sample.image, LiveKnowledge(teacher, sample.inputs).logits(), epsilon=0.1, steps=2)
    assert all(parameter.grad is None for parameter in student.parameters())
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert sample.image.requires_grad is False
