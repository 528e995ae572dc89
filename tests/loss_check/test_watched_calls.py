from __future__ import annotations

import torch

from medkd.loss_check.watched_calls import WatchedCalls
from tests.loss_check.conftest import SETTING


def cuts(work):
    student = SETTING.network(0)
    watched, image = WatchedCalls(student, __file__), SETTING.sample(0).image
    with watched:
        work(student, image)
    return watched


def test_each_cut_is_named_with_its_line():
    assert "passes a tensor through numpy" in cuts(lambda s, x: s(x).detach().numpy()).first_cut().partition(": ")[0]
    assert "detaches a tensor" in cuts(lambda s, x: s(x).detach()).first_cut().partition(": ")[0]
    assert "makes a number" in cuts(lambda s, x: s(x).sum().item()).first_cut().partition(": ")[0]
    assert "under torch.no_grad()" in cuts(lambda s, x: torch.no_grad()(s)(x)).first_cut().partition(": ")[0]
    assert "no call was seen" in cuts(lambda s, x: s(x)).first_cut().partition(": ")[0]


def test_a_gradient_that_is_differentiated_again_is_seen():
    again = lambda s, x: torch.autograd.grad(s(x).sum(), [s.head.weight], create_graph=True)  # noqa: E731
    once = lambda s, x: torch.autograd.grad(s(x).sum(), [s.head.weight])  # noqa: E731
    assert cuts(again).double_backward
    assert not cuts(once).double_backward
