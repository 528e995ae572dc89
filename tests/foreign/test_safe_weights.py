"""Tensors are read of a stranger's file, and nothing of it is run."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from data_contracts import SourceError
from medkd.foreign.safe_weights import load_exactly, read_content, read_state_dict, torchscript_tensors
from tests.foreign.conftest import Malicious

WEIGHTS = {"conv.weight": torch.arange(4.0).reshape(2, 2), "conv.bias": torch.zeros(2)}


@pytest.mark.parametrize("wrapped", [WEIGHTS, {"state_dict": WEIGHTS}, {"model": {f"module.{k}": v for k, v in WEIGHTS.items()}}, {f"_orig_mod.{k}": v for k, v in WEIGHTS.items()}])  # fmt: skip
def test_weights_are_found_in_what_training_codes_wrap_them_in(tmp_path, wrapped):
    torch.save(wrapped, tmp_path / "w.pt")
    found = read_state_dict(tmp_path / "w.pt")
    assert set(found) == set(WEIGHTS)
    assert torch.equal(found["conv.weight"], WEIGHTS["conv.weight"])


def test_safetensors_and_a_prefix(tmp_path):
    safetensors.torch.save_file({f"net.{k}": v for k, v in WEIGHTS.items()}, tmp_path / "w.safetensors")
    assert set(read_state_dict(tmp_path / "w.safetensors", prefix="net.")) == set(WEIGHTS)
    with pytest.raises(SourceError, match=r"begin with 'other\.'") as caught:
        read_state_dict(tmp_path / "w.safetensors", prefix="other.")
    assert caught.value.code == "WEIGHTS_UNREADABLE"


def test_figures_of_numpy_beside_the_weights_are_read(tmp_path):
    torch.save({"network_weights": WEIGHTS, "best": np.float64(0.5), "history": [np.float32(1.0), np.int64(3)]}, tmp_path / "w.pth")
    assert read_content(tmp_path / "w.pth")["best"] == 0.5


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_nothing_runs(tmp_path, legacy):
    planted = tmp_path / "ran"
    torch.save({"state_dict": WEIGHTS, "more": Malicious(planted)}, tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(SourceError, match="would run code; nothing of it was run") as caught:
        read_state_dict(tmp_path / "w.pt")
    assert caught.value.code == "WEIGHTS_UNSAFE"
    assert not planted.exists()


def test_an_object_of_a_class_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    with pytest.raises(SourceError) as caught:
        read_state_dict(tmp_path / "whole.pt")
    assert caught.value.code == "WEIGHTS_UNSAFE"


@pytest.mark.parametrize("payload", [b"", b"nonsense", b"PK\x03\x04broken", b"\x80\x02]q\x00."])
def test_what_is_no_weights_is_said(tmp_path, payload):
    (tmp_path / "w.pt").write_bytes(payload)
    with pytest.raises(SourceError) as caught:
        read_state_dict(tmp_path / "w.pt")
    assert caught.value.code == "WEIGHTS_UNREADABLE"


def test_tensors_of_torchscript_are_read_without_its_code(tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)).eval()
    torch.jit.save(torch.jit.trace(network, torch.zeros(1, 1, 8, 8)), tmp_path / "model.ts")
    found = torchscript_tensors(tmp_path / "model.ts")
    for name, value in network.state_dict().items():
        assert torch.equal(found[name], value), name


def test_a_torchscript_archive_that_names_python_is_refused(tmp_path):
    import pickle
    import zipfile

    with zipfile.ZipFile(tmp_path / "model.ts", "w") as packed:
        packed.writestr("model/constants.pkl", b"")
        packed.writestr("model/data.pkl", pickle.dumps(Malicious(tmp_path / "ran")))
    with pytest.raises(SourceError, match=r"builtins.exec|builtin") as caught:
        read_state_dict(tmp_path / "model.ts")
    assert caught.value.code == "WEIGHTS_UNSAFE"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (lambda w: w.pop("bias"), "lacks bias"),
        (lambda w: w.update(more=torch.zeros(1)), "has besides more"),
        (lambda w: w.update(bias=torch.zeros(5)), r"another shape in bias \[5\] for \[2\]"),
    ],
)
def test_weights_of_another_network_are_one_sentence(changed, sentence):
    weights = dict(nn.Linear(3, 2).state_dict())
    changed(weights)
    with pytest.raises(SourceError, match=sentence) as caught:
        load_exactly(nn.Linear(3, 2), weights, "file")
    assert caught.value.code == "WEIGHTS_MISMATCH"


def test_weights_of_a_training_that_failed_are_refused():
    weights = dict(nn.Linear(3, 2).state_dict())
    weights["bias"] = torch.tensor([0.0, float("nan")])
    with pytest.raises(SourceError, match="bias hold") as caught:
        load_exactly(nn.Linear(3, 2), weights, "file")
    assert caught.value.code == "WEIGHTS_NOT_FINITE"
