from __future__ import annotations

import copy
import shutil

import pytest
import torch

from data_contracts import Candidate, Checkpoint, CompressionError, LossTerm, NetworkSpec, Pruning, Subset, TrainingConfig, Tuning
from medkd.cohorts.open_cohort import open_for_training
from medkd.compression import compress_network
from medkd.compression.compress_network import compress_checkpoint, require_compressible
from medkd.inference.predict import predict_logits
from medkd.models._build import build_network, parameter_count
from medkd.models._load import load_network
from medkd.storage.workspace import local_workspace
from medkd.training import fit

TERMS = (LossTerm(loss="cross_entropy"), LossTerm(loss="logit_kd"))
TUNE = Tuning(fit=TrainingConfig(epochs=3, batch_size=16, learning_rate=1e-3), terms=TERMS)


@pytest.fixture(scope="module")
def origin(student):
    """Return the version that is compressed."""
    return student


@pytest.fixture
def compress(workspace, recipe, cohorts, origin, teacher):
    def made(seed=0, where=workspace, **candidate):
        return compress_checkpoint(where, (recipe.student_training("kd", 0), cohorts), origin, teacher, Candidate(**candidate), seed=seed)

    return made


def widths_share(checkpoint, origin):
    return checkpoint.parameters / origin.parameters


def descends(made, origin):
    names = ("role", "arm", "task", "teacher_digest", "cohort_digest", "train_patients_digest", "domain")
    return [getattr(made, name) for name in names] == [getattr(origin, name) for name in names]


@pytest.mark.parametrize("importance", ["magnitude", "taylor", "attribution"])
def test_half_of_the_channels_go_and_the_version_is_loaded_again_as_any_other(compress, workspace, origin, importance):
    made = compress(prune=Pruning(share=0.5, importance=importance))
    assert made == Checkpoint.model_validate_json(made.model_dump_json())
    network = load_network(workspace, made)
    assert parameter_count(network) == made.parameters
    assert 0.15 < widths_share(made, origin) < 0.5
    assert descends(made, origin)
    assert torch.isfinite(network(torch.zeros(2, 1, *made.task.image_size))).all()


def test_a_candidate_without_anything_is_the_version_and_is_not_made_again(compress, origin, monkeypatch):
    assert compress(runtime="onnx") is origin
    first = compress(prune=Pruning(share=0.5))
    monkeypatch.setattr(compress_network, "remove_channels", lambda *_: pytest.fail("remembered"))
    assert compress(prune=Pruning(share=0.5), runtime="onnx") == first  # who asks it changes nothing of it


def test_tuning_brings_back_what_pruning_cost(compress, workspace, recipe, cohorts):
    """The loss on its own training cases, which is what is minimised."""
    cases = open_for_training(cohorts, Subset.STUDENT_TRAIN.of(0), workspace.store, recipe.task)
    losses = []
    for candidate in ({}, {"tune": TUNE.model_copy(update={"fit": TUNE.fit.model_copy(update={"epochs": 10, "learning_rate": 5e-3})})}):
        network = load_network(workspace, compress(prune=Pruning(share=0.5), **candidate))
        losses.append(float(torch.nn.functional.cross_entropy(predict_logits(network, cases.images), cases.labels)))
    assert losses[1] < losses[0]


def test_rounds_share_the_epochs_and_end_at_the_same_size(compress, origin):
    once, thrice = compress(prune=Pruning(share=0.5), tune=TUNE), compress(prune=Pruning(share=0.5, steps=3), tune=TUNE)
    assert once.network.layer_widths == thrice.network.layer_widths
    assert once.epochs == thrice.epochs == 3
    assert once.weights_digest != thrice.weights_digest
    assert thrice.cost.parts == 3
    assert descends(thrice, origin)


FAST = TUNE.fit.model_copy(update={"epochs": 4, "learning_rate": 2e-2})
DYNAMIC = {"prune": Pruning(share=0.5, steps=2, dynamic=True, importance="taylor"), "tune": TUNE.model_copy(update={"fit": FAST})}
ROUNDS = {"prune": Pruning(share=0.5, steps=2, importance="taylor"), "tune": TUNE.model_copy(update={"keep_attributions": 0.5})}


def test_masks_are_made_anew_while_it_trains_and_what_is_off_at_the_end_is_gone(compress, workspace, origin, monkeypatch):
    seen, known = [], compress_network.set_masks
    monkeypatch.setattr(compress_network, "set_masks", lambda network, groups, gone: (seen.append(gone), known(network, groups, gone)))
    made = compress(**DYNAMIC)
    assert made.network.layer_widths == compress(prune=Pruning(share=0.5)).network.layer_widths
    network = load_network(workspace, made)  # strict: neither masks nor dense weights are left
    assert parameter_count(network) == made.parameters < origin.parameters / 2
    first, last = (sum(len(gone) for gone in one.values()) for one in seen)
    assert 0 < first < last
    assert descends(made, origin)


def test_a_channel_that_was_off_comes_back_when_it_is_worth_more(compress, workspace, origin, monkeypatch):
    """Importance is turned round between the two rounds: what went first stays, and its weights are those that it learned meanwhile."""
    calls, gone = [], []

    def planted(kind, network, groups, data):
        calls.append(kind)
        ascending = {group.name: torch.arange(group.size, dtype=torch.float64) for group in groups}
        return ascending if len(calls) == 1 else {name: -worth for name, worth in ascending.items()}

    known = compress_network.set_masks
    monkeypatch.setattr(compress_network, "channel_importance", planted)
    monkeypatch.setattr(compress_network, "set_masks", lambda network, groups, off: (gone.append(off), known(network, groups, off)))
    made = compress(seed=9, **DYNAMIC)
    name, root = next((name, off) for name, off in gone[0].items() if len(off))
    assert root.tolist() == list(range(len(root)))
    assert not set(root.tolist()) & set(gone[1][name].tolist())
    assert load_network(workspace, made).get_submodule(name).weight.shape[0] == 4 - len(gone[1][name])


def copied(workspace, folder):
    """Return a place with the same data and networks, and no trainings."""
    other = local_workspace(folder)
    shutil.copytree(workspace.store.root, other.store.root, dirs_exist_ok=True)
    return other


@pytest.mark.extended
@pytest.mark.parametrize(("name", "candidate"), [("remove_channels", ROUNDS), ("set_masks", DYNAMIC)], ids=["rounds", "dynamic"])
def test_broken_off_in_its_second_round_it_goes_on_and_ends_with_the_same_bits(compress, workspace, tmp_path, monkeypatch, name, candidate):
    whole, other, calls = compress(seed=5, **candidate), copied(workspace, tmp_path), []
    known, build = getattr(compress_network, name), fit.Trainer.epoch

    def breaks(*given):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return known(*given)

    monkeypatch.setattr(compress_network, name, breaks)
    with pytest.raises(KeyboardInterrupt):
        compress(seed=5, where=other, **candidate)
    epochs = []
    monkeypatch.setattr(compress_network, name, known)
    monkeypatch.setattr(fit.Trainer, "epoch", lambda self: (epochs.append(self.loop.epoch), build(self)))
    assert compress(seed=5, where=other, **candidate).weights_digest == whole.weights_digest
    assert len(epochs) < candidate["tune"].fit.epochs  # those of the first round were not made again


def test_factorised_then_pruned_is_built_again(compress, workspace, origin):
    made = compress(rank_ratio=0.5, prune=Pruning(share=0.3))
    assert made.network.rank_ratio == 0.5
    assert made.network.layer_widths
    assert load_network(workspace, made) is not None
    assert made.parameters < compress(rank_ratio=0.5).parameters < origin.parameters


@pytest.mark.parametrize(
    ("spec", "candidate", "code"),
    [
        ({"rank_ratio": 0.5}, {"rank_ratio": 0.5}, "ALREADY_FACTORISED"),
        ({"layer_widths": {"fc": (3, 2)}}, {"rank_ratio": 0.5}, "ALREADY_FACTORISED"),
        ({}, {"prune": Pruning(share=0.5, steps=4), "tune": TUNE}, "TUNING_TOO_SHORT"),
        ({}, {"prune": Pruning(share=0.5, steps=3, dynamic=True), "tune": TUNE}, "TUNING_TOO_SHORT"),
        ({}, {"prune": Pruning(share=0.5, dynamic=True), "tune": TUNE.model_copy(update={"fit": TUNE.fit.model_copy(update={"ema": 0.9})})}, "DYNAMIC_WEIGHTS"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_before_anything_is_computed(recipe, spec, candidate, code):
    network = NetworkSpec(builder="resnet", options={"channels": (4, 4, 4, 4)}).model_copy(update=spec)
    with pytest.raises(CompressionError, match="got") as caught:
        require_compressible(network, recipe.task, Candidate(**candidate))
    assert caught.value.code == code


def test_a_network_that_cannot_be_pruned_is_refused_before_its_weights_are_read(compress, monkeypatch):
    def with_prelu(spec, seed=0):
        network = build_network(spec, seed=seed)
        for name, module in list(network.named_modules()):
            if isinstance(module, torch.nn.ReLU):
                parent, _, last = name.rpartition(".")
                setattr(network.get_submodule(parent), last, torch.nn.PReLU())
        return network

    monkeypatch.setattr(compress_network, "build_network", with_prelu)
    monkeypatch.setattr(compress_network, "load_network", lambda *_: pytest.fail("read"))
    with pytest.raises(CompressionError, match="PReLU") as caught:
        compress(prune=Pruning(share=0.4))
    assert caught.value.code == "NOT_PRUNABLE"
    assert copy.copy(caught.value).code == "NOT_PRUNABLE"
