from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from data_contracts import DataError, LossTerm, Part, Role, Task, TaskKind, TrainingConfig
from medkd.cohorts.tensor_cohort import open_use
from medkd.knowledge.source import LiveSource
from medkd.models._build import build_network
from medkd.models._load import load_network
from medkd.precision import has_native_bf16
from medkd.storage.metrics_log import MetricsLog
from medkd.training import fit as loop
from medkd.training.fit import FitRequest, fit
from medkd.training.objective import Objective
from medkd.training.recipes import network_spec
from medkd.training.train import distill, train_teacher

FIT = TrainingConfig(epochs=3, batch_size=16, learning_rate=0.01, precision="fp32", augment="flip")
TASK = Task(kind="classification", classes=("benign", "malignant"))
TERMS = Objective((LossTerm(loss="cross_entropy"),))


@pytest.fixture
def cohort(workspace, recipe, cohorts):
    return open_use(cohorts, "student_train/0", workspace.store, recipe.task)


@pytest.fixture
def network(recipe):
    return lambda: build_network(network_spec(recipe, Role.STUDENT), seed=1)


def request(folder, fit_=FIT, key="k"):
    return FitRequest(fit_, TASK, 0, folder, key)


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


def test_the_same_seed_gives_the_same_weights(network, cohort, tmp_path):
    first, second = (fit(network(), TERMS, cohort, request(tmp_path / name)) for name in "ab")
    assert same(first, second)
    assert not first.training


def test_training_lowers_the_loss_and_journals_every_epoch(network, cohort, tmp_path):
    fit(network(), TERMS, cohort, request(tmp_path, FIT.model_copy(update={"epochs": 6})))
    lines = MetricsLog(tmp_path / "metrics.jsonl").read()
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["loss"] < lines[0]["loss"]


@pytest.mark.parametrize(
    "precision",
    ["fp32", pytest.param("bf16", marks=pytest.mark.skipif(not has_native_bf16(torch.device("cpu")), reason="bf16 is emulated here"))],
)
def test_an_interrupted_run_goes_on_and_ends_where_the_uninterrupted_one_does(network, cohort, tmp_path, monkeypatch, precision):
    config = FIT.model_copy(update={"precision": precision})
    whole = fit(network(), TERMS, cohort, request(tmp_path / "whole", config))
    real, calls = loop.epoch_samples, []

    def killed(*given, seed, epoch):
        calls.append(epoch)
        if epoch == 2:
            raise KeyboardInterrupt
        return real(*given, seed=seed, epoch=epoch)

    monkeypatch.setattr(loop, "epoch_samples", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(network(), TERMS, cohort, request(tmp_path / "part", config))
    monkeypatch.setattr(loop, "epoch_samples", real)
    resumed = fit(network(), TERMS, cohort, request(tmp_path / "part", config))
    assert calls == [0, 1, 2]
    assert same(whole, resumed)
    assert [line["epoch"] for line in MetricsLog(tmp_path / "part" / "metrics.jsonl").read()] == [1, 2, 3]


def test_the_state_of_another_run_is_not_taken_up(network, cohort, tmp_path):
    first = fit(network(), TERMS, cohort, request(tmp_path, key="one"))
    untouched = network()
    second = fit(untouched, TERMS, cohort, request(tmp_path, key="two"))
    assert same(first, second)
    assert MetricsLog(tmp_path / "metrics.jsonl").read()[0]["epoch"] == 1


def test_a_loss_that_is_not_finite_stops_the_run(network, cohort, tmp_path):
    poisoned = replace(cohort, images=torch.full_like(cohort.images, float("nan")))
    with pytest.raises(DataError) as caught:
        fit(network(), TERMS, poisoned, request(tmp_path))
    assert caught.value.code == "LOSS_NOT_FINITE"


def test_nothing_is_asked_before_of_volumes_whose_patches_never_come_again(network, tmp_path):
    volumes = SimpleNamespace(images=(torch.zeros(1, 8, 8, 8), torch.zeros(1, 9, 9, 9)))
    long = request(tmp_path, FIT.model_copy(update={"epochs": 99, "samples_per_epoch": 4}))
    source = LiveSource(network())
    asked = []
    source.network.register_forward_pre_hook(lambda *_: asked.append(1))
    loop.ask_before(source, volumes, long, None, maps=True)  # no device is looked at
    assert asked == []


def test_the_labels_of_a_segmentation_are_its_masks_and_missing_where_there_is_none(cohort):
    half = replace(cohort, has_mask=torch.arange(len(cohort)) % 2 == 0)
    sample = half.draw(torch.arange(4), TASK.model_copy(update={"kind": TaskKind.SEGMENTATION}), FIT, torch.Generator())
    assert torch.equal(sample.labels[0], cohort.masks[0].long())
    assert bool((sample.labels[1] == -1).all())


def test_a_teacher_is_not_part_of_what_is_saved(workspace, recipe, cohorts):
    from safetensors import safe_open

    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    student = distill(workspace, recipe.student_training("kd_explanation", 0), cohorts, teacher)
    state = workspace.root / "training" / recipe.name / "kd_explanation-0" / "state.safetensors"
    with safe_open(state, framework="pt") as file:
        names = set(file.keys())
    assert {name.split(".")[0] for name in names} == {"module", "optimizer", "generator"}
    assert len([n for n in names if n.startswith("module.")]) == len(load_network(workspace, student).state_dict())
    assert student.teacher_digest == teacher.weights_digest
    assert cohorts.uses["teacher_train"].part is Part.TRAIN


def test_arms_of_a_seed_begin_at_the_same_weights_and_differ_by_their_objective(workspace, recipe, cohorts, monkeypatch):
    from medkd.training import training_run

    started = {}
    real = training_run.fit

    def watch(student, objective, cohort_, request_, **more):
        started[request_.title] = {name: value.clone() for name, value in student.state_dict().items()}
        return real(student, objective, cohort_, request_, **more)

    monkeypatch.setattr(training_run, "fit", watch)
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    for arm in ("alone", "kd"):
        distill.__wrapped__(workspace, recipe.student_training(arm, 0), cohorts, teacher)
    alone, kd = (started[f"{recipe.name}/{arm}-0"] for arm in ("alone", "kd"))
    assert all(torch.equal(alone[name], kd[name]) for name in alone)


def test_altered_weights_are_not_loaded(workspace, recipe, cohorts):
    from data_contracts import StoreError

    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    path = workspace.store.path(teacher.weights)
    good = path.read_bytes()
    try:
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(StoreError) as caught:
            load_network(workspace, teacher)
        assert caught.value.code == "WEIGHTS_ALTERED"
    finally:
        path.write_bytes(good)
