from __future__ import annotations

import copy

import pytest
import torch

from data_contracts import KnowledgeError, LossTerm, Role, Task, TrainingConfig
from medkd.cohorts.tensor_cohort import open_use
from medkd.knowledge.mixture_source import MixtureSource
from medkd.knowledge.online import EmaSource, PeerSource
from medkd.knowledge.source import LiveSource
from medkd.models._build import build_network
from medkd.training import fit as loop
from medkd.training.adapters import DistillationAdapters
from medkd.training.batches import epoch_samples
from medkd.training.fit import FitRequest, Trainer, fit, open_fabric
from medkd.training.objective import Objective
from medkd.training.peer import PeerStudent
from medkd.training.recipes import network_spec
from medkd.training.step import DistillationStep, StepBatch

FIT = TrainingConfig(epochs=2, batch_size=16, learning_rate=0.01, precision="fp32", augment="flip")
TASK = Task(kind="classification", classes=("benign", "malignant"))
TERMS = (LossTerm(loss="cross_entropy"), LossTerm(loss="logit_kd", weight=2.0, options={"temperature": 2.0}))


@pytest.fixture(scope="module")
def cohort(workspace, recipe, cohorts):
    return open_use(cohorts, "student_train/0", workspace.store, recipe.task).select(torch.arange(32))


@pytest.fixture
def network(recipe):
    return lambda seed=1, role=Role.STUDENT: build_network(network_spec(recipe, role), seed=seed)


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


@pytest.mark.parametrize("task", ["classification"])
def test_peers_learn_from_each_other_both_ways(make_network, make_sample):
    """The loss of both is that of Zhang et al. 2018: CE + KL to the other's answer, which is held fixed; gradients by autograd of that formula."""
    first, second, sample = make_network(1).train(), make_network(2).train(), make_sample()
    source, objective = PeerSource(second), Objective(TERMS)
    step = DistillationStep(first, objective, source, DistillationAdapters(), None)
    step.learn_with(PeerStudent(source, DistillationAdapters()))
    assert {name.split(".")[0] for name, _ in step.named_parameters()} == {"student", "peer"}
    loss, shown = step(StepBatch(sample))
    loss.backward()
    found = [copy.deepcopy([p.grad for p in network.parameters()]) for network in (first, second)]
    for network in (first, second):
        network.zero_grad()

    def one(own, other):
        log_p, log_q = (other.detach() / 2).log_softmax(1), (own / 2).log_softmax(1)
        kl = (log_p.exp() * (log_p - log_q)).sum(1)
        return torch.nn.functional.cross_entropy(own, sample.labels) + 2 * 4 * kl.mean()

    answers = [network(sample.image) for network in (first, second)]
    expected = one(answers[0], answers[1]) + one(answers[1], answers[0])
    expected.backward()
    torch.testing.assert_close(loss.detach(), expected.detach(), atol=1e-5, rtol=1e-5)
    for network, gradients in zip((first, second), found, strict=True):
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            torch.testing.assert_close(gradient, parameter.grad, atol=1e-5, rtol=1e-4)
    assert {"cross_entropy", "logit_kd", "peer/cross_entropy", "peer/logit_kd", "peer/loss"} <= set(shown)
    assert source.speaking is None  # nothing of a batch stays


def test_a_peer_that_did_not_look_has_no_loss(make_network, make_sample):
    source = PeerSource(make_network(1))
    with pytest.raises(KnowledgeError, match="call look first"):
        PeerStudent(source, DistillationAdapters()).loss(None, (Objective(TERMS), source), make_sample(), share=0.0, step=0)


def sources(network):
    return {
        "ema": lambda: EmaSource(0.9),
        "peer": lambda: PeerSource(network(7)),
        "both": lambda: MixtureSource(
            {"teacher": LiveSource(network(5, Role.TEACHER)), "ema": EmaSource(0.9), "peer": PeerSource(network(7))}
        ),
    }


@pytest.mark.parametrize(
    "name", [pytest.param("ema", marks=pytest.mark.extended), pytest.param("peer", marks=pytest.mark.extended), "both"]
)
def test_a_run_that_is_killed_goes_on_with_the_same_bits(network, cohort, tmp_path, monkeypatch, name):
    """What averaged weights and a peer have learnt is part of the training state; a teacher is not."""

    def run(folder):
        request = FitRequest(FIT, TASK, 0, tmp_path / folder, "k", save_seconds=0.0)
        return fit(network(), Objective(TERMS), cohort, request, teacher=sources(network)[name]())

    whole, real = run("whole"), loop.Trainer.batch
    for stop in (1, 3):
        calls = []

        def killed(self, index, sample, calls=calls, stop=stop):
            calls.append(index)
            if len(calls) > stop:
                raise KeyboardInterrupt
            return real(self, index, sample)

        monkeypatch.setattr(loop.Trainer, "batch", killed)
        with pytest.raises(KeyboardInterrupt):
            run(f"part{stop}")
        monkeypatch.setattr(loop.Trainer, "batch", real)
        assert same(whole, run(f"part{stop}")), stop
    assert set(whole.state_dict()) == set(network().state_dict())  # the student alone is kept


def test_the_gradient_reaches_students_and_never_a_teacher(network, cohort, tmp_path):
    source = sources(network)["both"]()
    request = FitRequest(FIT, TASK, 0, tmp_path, "k")
    trainer = Trainer(network(), Objective(TERMS), cohort, request, open_fabric(request), source)
    before = {name: copy.deepcopy(one.network.state_dict()) for name, one in source.members.items()}
    start = copy.deepcopy(trainer.step.student.state_dict())
    with trainer.bar():
        trainer.resume()
        trainer.batch(0, next(epoch_samples(cohort, TASK, FIT, seed=0, epoch=0)))
    trained = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    for name, one in source.members.items():
        moved = any(not torch.equal(value, one.network.state_dict()[key]) for key, value in before[name].items())
        assert moved == (name != "teacher"), name
        assert {id(p) in trained for p in one.network.parameters()} == {name == "peer"}
        if name != "peer":
            assert all(p.grad is None for p in one.network.parameters())
    assert any(not torch.equal(value, trainer.step.student.state_dict()[key]) for key, value in start.items())
    # Averaged over the first step: half of what it was, half of what it is (1 - 1 / 2).
    key = next(key for key, value in start.items() if value.is_floating_point())
    torch.testing.assert_close(
        source.members["ema"].network.state_dict()[key],
        0.5 * start[key] + 0.5 * trainer.step.student.state_dict()[key],
        atol=1e-6,
        rtol=1e-5,
    )
