"""What the loop does beside descending: groups of batches, clipping, averaged weights, patience, places within an epoch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from data_contracts import DataError, LossBalancing, LossTerm, Role, StrongAugmentation, Task, TrainingConfig
from medkd.cohorts.tensor_cohort import open_use
from medkd.knowledge.source import LiveSource
from medkd.models._build import build_network
from medkd.precision import has_native_bf16
from medkd.storage.metrics_log import TIME, MetricsLog
from medkd.trace import LayerMap, with_layer_map
from medkd.training import fit as loop
from medkd.training.fit import FitRequest, deterministic, fit
from medkd.training.objective import Objective
from medkd.training.recipes import network_spec

#: bf16 is emulated, 13 to 30 times slower, where the processor has no instructions for it.
PRECISIONS = [
    "fp32",
    pytest.param("bf16", marks=pytest.mark.skipif(not has_native_bf16(torch.device("cpu")), reason="bf16 is emulated here")),
]
FIT = TrainingConfig(epochs=2, batch_size=16, learning_rate=0.01, precision="fp32", augment="flip")
TASK = Task(kind="classification", classes=("benign", "malignant"))
TERMS = Objective((LossTerm(loss="cross_entropy"),))


class Plain(nn.Module):
    """A network without batch statistics: what one case contributes does not depend on the others."""

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.layer = nn.Sequential(nn.Conv2d(1, 4, 5, stride=4), nn.ReLU())
            self.head = nn.Linear(4, 2)
        with_layer_map(self, LayerMap(feature_layers=("layer",), cam_layer="layer", head="head"))

    def forward(self, image):
        return self.head(self.layer(image).flatten(2).mean(2))


@pytest.fixture
def cohort(workspace, recipe, cohorts):
    return open_use(cohorts, "student_train/0", workspace.store, recipe.task)


def request(folder, *, key="k", **changes):
    more = {name: changes.pop(name) for name in ("validate", "after_epoch", "balance", "save_seconds") if name in changes}
    return FitRequest(FIT.model_copy(update=changes), TASK, 0, folder, key, **more)


def same(first, second, atol=0.0):
    return all(
        torch.allclose(a, b, atol=atol, rtol=0) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_two_batches_of_sixteen_make_the_step_of_one_of_thirty_two(cohort, tmp_path):
    whole = fit(Plain(), TERMS, cohort, request(tmp_path / "a", batch_size=32, augment="none"))
    halves = fit(Plain(), TERMS, cohort, request(tmp_path / "b", batch_size=16, accumulate=2, augment="none"))
    single = fit(Plain(), TERMS, cohort, request(tmp_path / "c", batch_size=16, augment="none"))
    assert same(whole, halves, atol=1e-5)
    assert not same(whole, single, atol=1e-4)


def test_a_gradient_is_clipped_to_a_norm(cohort, tmp_path, monkeypatch):
    norms = []
    real = torch.optim.AdamW.step

    def watch(self, *args, **more):
        norms.append(
            float(torch.cat([p.grad.flatten() for group in self.param_groups for p in group["params"] if p.grad is not None]).norm())
        )
        return real(self, *args, **more)

    monkeypatch.setattr(torch.optim.AdamW, "step", watch)
    fit(Plain(), TERMS, cohort, request(tmp_path / "a"))
    free = list(norms)
    norms.clear()
    fit(Plain(), TERMS, cohort, request(tmp_path / "b", clip_norm=min(free) / 2))
    assert max(norms) <= min(free) / 2 * 1.01


def test_averaged_weights_are_the_moving_average_of_the_steps(cohort, tmp_path, monkeypatch):
    seen = []
    real = torch.optim.AdamW.step

    def watch(self, *args, **more):
        result = real(self, *args, **more)
        seen.append([p.detach().clone() for p in self.param_groups[0]["params"]])
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", watch)
    fitted = fit(Plain(), TERMS, cohort, request(tmp_path, ema=0.9))
    average = seen[0]
    for weights in seen[1:]:
        average = [0.9 * a + 0.1 * w for a, w in zip(average, weights, strict=True)]
    for student_values, expected in zip(fitted.parameters(), average, strict=True):
        torch.testing.assert_close(student_values, expected, atol=1e-6, rtol=1e-5)


def test_patience_ends_training_and_keeps_the_best_epoch(cohort, tmp_path):
    figures, weights = iter([0.5, 0.8, 0.7, 0.75, 0.9]), []

    def judge(network):
        weights.append({name: value.clone() for name, value in network.state_dict().items()})
        return next(figures)

    fitted = fit(Plain(), TERMS, cohort, request(tmp_path, epochs=9, patience=2, validate=judge))
    assert len(weights) == 4
    assert all(torch.equal(fitted.state_dict()[name], value) for name, value in weights[1].items())
    assert [line["validation"] for line in MetricsLog(tmp_path / "metrics.jsonl").read()] == [0.5, 0.8, 0.7, 0.75]
    with pytest.raises(DataError) as caught:
        fit(Plain(), TERMS, cohort, request(tmp_path / "none", patience=2))
    assert caught.value.code == "VALIDATION_MISSING"


ARMS = {
    "plain": {},
    "everything": {
        "ema": 0.9,
        "accumulate": 2,
        "clip_norm": 1.0,
        "mix": "mixup",
        "strong": StrongAugmentation(noise=0.1, hidden=1),
        "patience": 9,
    },
}


@pytest.mark.parametrize("name", [pytest.param("plain", marks=pytest.mark.extended), "everything"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.extended
def test_a_run_that_is_killed_between_batches_goes_on_there_and_ends_with_the_same_weights(
    recipe, cohort, tmp_path, monkeypatch, name, precision
):
    """Every stateful part takes part: projections, a learned temperature, balance, averages, dropout's generator, best weights."""
    terms = (
        LossTerm(loss="cross_entropy"),
        LossTerm(loss="logit_kd", temperature={"kind": "learned", "first": 4.0}),
        LossTerm(loss="hint", every=2, schedule={"kind": "cosine"}),
    )
    teacher = build_network(network_spec(recipe, Role.TEACHER), seed=5)
    balance = LossBalancing(norms=True, do_no_harm=True, every=2, agreement_rate=0.5)
    figures = {}

    def run(folder):
        more = {
            "validate": lambda network: figures.setdefault(float(sum(p.sum() for p in network.parameters())), 0.5),
            "balance": balance,
            "save_seconds": 0.0,
        }
        student = WithDropout(build_network(network_spec(recipe, Role.STUDENT), seed=1))
        return fit(
            student,
            Objective(terms),
            cohort,
            request(tmp_path / folder, precision=precision, epochs=3, **ARMS[name], **more),
            teacher=teacher,
        )

    whole = run("whole")
    real = loop.Trainer.batch
    for stop in (1, 5, 9) if name == "everything" and precision == "fp32" else (5,):
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
        lines = [MetricsLog(tmp_path / folder / "metrics.jsonl").read() for folder in ("whole", f"part{stop}")]
        # Times, and the load of the machine, are measured.
        whole_lines, part_lines = (
            [{k: v for k, v in line.items() if k not in ("seconds", TIME) and not k.startswith("system/")} for line in own] for own in lines
        )
        assert whole_lines == part_lines


class WithDropout(nn.Module):
    """A network whose forward pass draws from the global generator."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.dropout = inner, nn.Dropout(0.3)
        layer_map = inner.layer_map
        with_layer_map(
            self, LayerMap(tuple(f"inner.{t}" for t in layer_map.feature_layers), f"inner.{layer_map.cam_layer}", f"inner.{layer_map.head}")
        )

    def forward(self, image):
        return self.inner(self.dropout(image))


def test_curves_of_weights_cosines_and_temperatures_are_in_the_journal(recipe, cohort, tmp_path):
    terms = (
        LossTerm(loss="cross_entropy"),
        LossTerm(loss="logit_kd", temperature={"kind": "learned", "first": 4.0}),
        LossTerm(loss="hint", schedule={"kind": "linear"}),
    )
    balance = LossBalancing(norms=True, do_no_harm=True, every=1, warmup=2, agreement_weight=1.0)
    teacher = build_network(network_spec(recipe, Role.TEACHER), seed=5)
    fit(
        build_network(network_spec(recipe, Role.STUDENT), seed=1),
        Objective(terms),
        cohort,
        request(tmp_path, balance=balance),
        teacher=LiveSource(teacher),
    )
    lines = MetricsLog(tmp_path / "metrics.jsonl").read()
    wanted = {"weight/logit_kd", "weight/hint", "cosine/logit_kd", "cosine/hint", "temperature/logit_kd", "agreement", "rate"}
    assert wanted <= set(lines[-1])
    assert lines[-1]["weight/hint"] < lines[0]["weight/hint"]
    assert 1.0 <= lines[-1]["temperature/logit_kd"] <= 10.0


def test_determinism_is_asked_of_torch_and_given_back():
    before = torch.are_deterministic_algorithms_enabled()
    with deterministic(True):
        assert torch.are_deterministic_algorithms_enabled()
    with deterministic(False):
        assert torch.are_deterministic_algorithms_enabled() is before
    assert torch.are_deterministic_algorithms_enabled() is before
