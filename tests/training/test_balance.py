from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from data_contracts import LossBalancing, LossTerm
from medkd.knowledge.interface import LiveKnowledge
from medkd.targets import class_margin
from medkd.trace import trace
from medkd.training.balance import LossBalancer, damping, gradient_of
from medkd.training.objective import Objective, TermValue

TERMS = (LossTerm(loss="cross_entropy"), LossTerm(loss="logit_kd"), LossTerm(loss="hint"))


def balancer(**config):
    objective = Objective(TERMS)
    return LossBalancer(LossBalancing(**config), objective), objective.terms


def values_of(terms, parameter, slopes):
    """Return term values that are linear in a parameter [2], with given gradients."""
    return [TermValue(term, 1.0, (parameter * torch.tensor(slope)).sum()) for term, slope in zip(terms, slopes, strict=True)]


def test_weights_are_in_units_of_the_tasks_gradient_and_kept_after_the_warm_up():
    balance, terms = balancer(norms=True, warmup=2)
    parameter = nn.Parameter(torch.zeros(2))
    for slopes in ([[3.0, 4.0], [0.0, 10.0], [0.5, 0.0]], [[0.0, 1.0], [0.0, 20.0], [0.1, 0.0]], [[9.0, 9.0], [1.0, 1.0], [7.0, 7.0]]):
        balance.measure(values_of(terms, parameter, slopes), [parameter])
    # Ratios of the sums of the first two measurements: (5 + 1) / (10 + 20), (5 + 1) / (.5 + .1); the third is not counted.
    assert [balance.factor(term) for term in terms] == pytest.approx([1.0, 6 / 30, 6 / 0.6])


def test_a_term_that_opposes_the_task_is_damped_and_one_that_helps_is_not():
    balance, terms = balancer(do_no_harm=True, worst=0.5, momentum=0.5)
    parameter = nn.Parameter(torch.zeros(2))
    slopes = [[1.0, 0.0], [-0.6, 0.8], [0.8, 0.6]]
    balance.measure(values_of(terms, parameter, slopes), [parameter])
    assert balance.curves() == pytest.approx({"cosine/logit_kd": -0.6, "cosine/hint": 0.8})
    assert [balance.factor(term) for term in terms] == [1.0, 0.0, 1.0]
    balance.measure(values_of(terms, parameter, [[1.0, 0.0], [0.2, math.sqrt(0.96)], [0.0, 1.0]]), [parameter])
    # Smoothed: .5 * -.6 + .5 * .2 = -.2, which leaves 1 - .2 / .5.
    assert balance.factor(terms[1]) == pytest.approx(0.6)
    assert balance.factor(terms[2]) == 1.0


def test_the_damping_by_hand():
    assert [damping(c, 0.5) for c in (float("nan"), 1.0, 0.0, -0.25, -0.5, -1.0)] == [1, 1, 1, 0.5, 0, 0]


def test_agreement_weighs_what_explains_and_the_learning_rate(make_network, make_sample, task):
    objective = Objective((LossTerm(loss="cross_entropy"), LossTerm(loss="attribution_transfer"), LossTerm(loss="logit_kd")))
    balance = LossBalancer(LossBalancing(agreement_weight=2.0, agreement_rate=1.0, momentum=0.0), objective)
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(4)
    layer = student.layer_map.cam_layer
    knowledge = LiveKnowledge(teacher, sample.inputs)
    first = trace(student, sample.inputs, layers=(layer,))
    balance.compare(first, knowledge, sample)
    assert balance.rate() == 1.0
    apart = 1 - balance.curves()["agreement"]
    own = trace(teacher, sample.inputs, layers=(layer,))
    balance.compare(own, knowledge, sample)
    assert balance.curves()["agreement"] == pytest.approx(1.0, abs=1e-5)
    assert balance.rate() == pytest.approx(0.1)
    assert balance.factor(objective.terms[1]) < 1e-6
    assert balance.factor(objective.terms[2]) == 1.0
    assert 0 < apart <= 2


def test_agreement_is_the_cosine_of_pooled_class_maps(make_network, make_sample):
    from torch.nn import functional

    from medkd.attribution.cam import cam

    objective = Objective((LossTerm(loss="cross_entropy"), LossTerm(loss="attribution_transfer")))
    balance = LossBalancer(LossBalancing(agreement_rate=1.0), objective)
    student, teacher, sample = make_network(0).eval(), make_network(1).eval(), make_sample(3)
    if sample.labels.ndim > 1:
        pytest.skip("classification says it")
    kept, teacher_values = (trace(n, sample.inputs, layers=(n.layer_map.cam_layer,)) for n in (student, teacher))
    balance.compare(kept, LiveKnowledge(teacher, sample.inputs), sample)
    target = class_margin(teacher_values.logits.argmax(1))
    maps = [functional.adaptive_avg_pool2d(cam(t, target)[:, None], 8).flatten(1) for t in (kept, teacher_values)]
    assert balance.curves()["agreement"] == pytest.approx(float(torch.cosine_similarity(*maps).mean()), abs=1e-5)


def test_a_measurement_changes_no_gradient_and_is_part_of_the_state():
    balance, terms = balancer(norms=True, do_no_harm=True)
    parameter = nn.Parameter(torch.ones(2))
    balance.measure(values_of(terms, parameter, [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), [parameter])
    assert parameter.grad is None
    other, _ = balancer(norms=True, do_no_harm=True)
    other.load_state_dict(balance.state_dict())
    assert [other.factor(term) for term in terms] == [balance.factor(term) for term in terms]
    assert float(gradient_of(torch.ones(()), [parameter]).abs().sum()) == 0.0
