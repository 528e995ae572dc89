"""A training state with a flipped byte, or half of one, is never trained on."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from medkd.training.checkpoint import LoopState, TrainState, load_state, save_state


def trained(seed):
    torch.manual_seed(seed)
    network = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return TrainState(network, optimizer, None, {"weight": torch.ones(2, 3)})


@pytest.fixture
def state(tmp_path):
    save_state(tmp_path / "state.safetensors", trained(0), LoopState(epoch=3, step=9, sums={"loss": 1.0}), key="k")
    return tmp_path / "state.safetensors"


def test_an_unaltered_state_is_taken_up_and_that_of_another_run_is_not(state):
    fresh = trained(1)
    assert load_state(state, fresh, key="k") == LoopState(epoch=3, step=9, sums={"loss": 1.0})
    assert torch.equal(fresh.module.weight, trained(0).module.weight)
    assert load_state(state, trained(1), key="other") == LoopState()


@pytest.mark.extended
def test_every_flipped_byte_is_met(state, caplog):
    payload = state.read_bytes()
    with caplog.at_level(logging.WARNING, logger="medkd"):
        for place in range(0, len(payload), 61):
            changed = bytearray(payload)
            changed[place] ^= 1 << place % 8
            state.write_bytes(changed)
            fresh = trained(1)
            assert load_state(state, fresh, key="k") == LoopState(), place
            assert torch.equal(fresh.module.weight, trained(1).module.weight)
    assert "STATE_ALTERED: expected the training state" in caplog.text
    assert "state.safetensors" in caplog.text


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_half_a_state_is_no_state(state, caplog, share):
    payload = state.read_bytes()
    state.write_bytes(payload[: int(len(payload) * share)])
    with caplog.at_level(logging.WARNING, logger="medkd"):
        assert load_state(state, trained(1), key="k") == LoopState()
    assert "training begins anew" in caplog.text


def test_a_state_that_something_was_added_to_is_not_taken_up(state):
    state.write_bytes(state.read_bytes() + b"more")
    assert load_state(state, trained(1), key="k") == LoopState()
