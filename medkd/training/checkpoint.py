"""Training state as one safetensors file: weights, optimiser moments, averaged and best weights, generators, place in the epoch. No pickle.

The order of cases, views and steps is a function of (seed, epoch), so that the place in the epoch says which draws are still to come; what
dropout draws comes from the global generator, whose state is kept.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from medkd.storage.store import write_bytes

_LOG = logging.getLogger("medkd")


@dataclass
class LoopState:
    """How far a run has come: finished epochs, batches of the epoch that has begun, and what was summed up in it.

    ``best`` is the best validation figure so far (None before the first), ``since_best`` the epochs since then. ``cost`` is what
    all its parts cost up to here (:class:`TrainingCost`), empty where nobody measures.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    best: float | None = None
    since_best: int = 0
    cost: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainState:
    """Everything that a run changes: what is wrapped (student, adapters, balancer, a peer), its optimiser, averaged weights, best weights, and the averaged weights that teach."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    averaged: nn.Module | None
    best: dict[str, Tensor]
    ema_teacher: nn.Module | None = None


def save_state(path: Path, trained: TrainState, loop: LoopState, *, key: str) -> None:
    """Write the state by atomic rename; ``key`` names the run it belongs to."""
    tensors = {f"module.{name}": value for name, value in trained.module.state_dict().items()}
    for index, state in trained.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    if trained.averaged is not None:
        tensors |= {f"averaged.{name}": value for name, value in trained.averaged.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in trained.best.items()}
    if trained.ema_teacher is not None:
        tensors |= {f"ema_teacher.{name}": value for name, value in trained.ema_teacher.state_dict().items()}
    tensors["generator.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors |= {f"generator.cuda{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    loop_json = json.dumps(vars(loop))
    metadata = {"place": loop_json, "key": key, "sha256": _digest(plain, loop_json, key)}
    write_bytes(path, safetensors.torch.save(plain, metadata=metadata))


def load_state(path: Path, trained: TrainState, *, key: str) -> LoopState:
    """Restore a state in place and return how far it had come; the beginning when there is none, or it is another run's.

    A state whose bytes are not those that were written is not trained on: that is said in the log, and training begins anew.
    """
    if not path.is_file():
        return LoopState()
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("key") != key:
                return LoopState()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        loop_json = metadata.get("place", "")
        if metadata.get("sha256") != _digest(tensors, loop_json, key):
            raise ValueError("its digest is another one")
        loop = LoopState(**json.loads(loop_json))
    except Exception as error:  # half a file, or a file with a flipped bit, can break in any way
        _LOG.warning(
            "STATE_ALTERED: expected the training state %s as it was written, it is altered or not whole (%s); training begins anew",
            path,
            " ".join(str(error).split())[:120],
        )
        return LoopState()
    trained.module.load_state_dict(_below("module.", tensors))
    trained.optimizer.load_state_dict({"state": _moments(tensors), "param_groups": trained.optimizer.state_dict()["param_groups"]})
    if trained.averaged is not None:
        trained.averaged.load_state_dict(_below("averaged.", tensors))
    trained.best.update(_below("best.", tensors))
    if trained.ema_teacher is not None:
        trained.ema_teacher.load_state_dict(_below("ema_teacher.", tensors))
    torch.set_rng_state(tensors["generator.cpu"])
    states = [tensors[name] for name in sorted(tensors) if name.startswith("generator.cuda")]
    if states and torch.cuda.is_available() and len(states) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states)
    return loop


def _digest(tensors: Mapping[str, Tensor], loop: str, key: str) -> str:
    """Return the sha256 of a state: names, types, shapes and bytes of its tensors, how far it came, and whose it is."""
    digest = hashlib.sha256(json.dumps([loop, key]).encode())
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _moments(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, field = name.split(".", 2)
            moments.setdefault(int(index), {})[field] = value
    return moments
