"""Training state as one safetensors file: weights, optimiser moments, averaged and best weights, generators, place in the epoch. No pickle.

The order of cases, views and steps is a function of (seed, epoch), so that the place in the epoch says which draws are still to come; what
dropout draws comes from the global generator, whose state is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from medkd.volumes.store import write_bytes


@dataclass
class Place:
    """How far a run has come: finished epochs, batches of the epoch that has begun, and what was summed up in it.

    ``best`` is the best validation figure so far (None before the first), ``since_best`` the epochs since then.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    best: float | None = None
    since_best: int = 0


@dataclass(frozen=True)
class Trained:
    """Everything that a run changes: what is wrapped (student, links, balancer), its optimiser, averaged weights, best weights."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    averaged: nn.Module | None
    best: dict[str, Tensor]


def save_state(path: Path, trained: Trained, place: Place, *, key: str) -> None:
    """Write the state by atomic rename; ``key`` names the run it belongs to."""
    tensors = {f"module.{name}": value for name, value in trained.module.state_dict().items()}
    for index, state in trained.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    if trained.averaged is not None:
        tensors |= {f"averaged.{name}": value for name, value in trained.averaged.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in trained.best.items()}
    tensors["generator.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors |= {f"generator.cuda{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_bytes(path, safetensors.torch.save(plain, metadata={"place": json.dumps(vars(place)), "key": key}))


def load_state(path: Path, trained: Trained, *, key: str) -> Place:
    """Restore a state in place and return how far it had come; the beginning when there is none, or it is another run's."""
    if not path.is_file():
        return Place()
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        if metadata.get("key") != key:
            return Place()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    trained.module.load_state_dict(_below("module.", tensors))
    trained.optimizer.load_state_dict({"state": _moments(tensors), "param_groups": trained.optimizer.state_dict()["param_groups"]})
    if trained.averaged is not None:
        trained.averaged.load_state_dict(_below("averaged.", tensors))
    trained.best.update(_below("best.", tensors))
    torch.set_rng_state(tensors["generator.cpu"])
    states = [tensors[name] for name in sorted(tensors) if name.startswith("generator.cuda")]
    if states and torch.cuda.is_available() and len(states) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states)
    return Place(**json.loads(metadata["place"]))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _moments(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, field = name.split(".", 2)
            moments.setdefault(int(index), {})[field] = value
    return moments


class Journal:
    """Metrics as JSON lines, flushed to disk once per epoch. Training never talks to a tracking server.

    Args:
        path: ``metrics.jsonl``; lines of epochs that will be repeated are dropped when training resumes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, float]]:
        """Return all complete lines."""
        if not self.path.is_file():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]

    def write_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of one epoch (counted from 1), replacing lines of this epoch and later ones."""
        kept = [line for line in self.read() if line["epoch"] < epoch]
        lines = [json.dumps(line, sort_keys=True) for line in (*kept, {"epoch": epoch, **metrics})]
        write_bytes(self.path, ("\n".join(lines) + "\n").encode())
