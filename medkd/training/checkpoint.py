"""Training state as one safetensors file per epoch boundary: weights, optimiser moments, epoch. No pickle.

Everything random in training is a function of (seed, epoch, batch), so no generator state needs to be kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from medkd.volumes.store import write_bytes


def save_state(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, *, epoch: int, key: str) -> None:
    """Write the state after ``epoch`` finished epochs by atomic rename; ``key`` names the run it belongs to."""
    tensors = {f"module.{name}": value for name, value in module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_bytes(path, safetensors.torch.save(plain, metadata={"epoch": str(epoch), "key": key}))


def load_state(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, *, key: str) -> int:
    """Restore a state in place and return the number of finished epochs; 0 when there is none, or it is another run's."""
    if not path.is_file():
        return 0
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        if metadata.get("key") != key:
            return 0
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    module.load_state_dict({name.removeprefix("module."): value for name, value in tensors.items() if name.startswith("module.")})
    optimizer.load_state_dict({"state": _moments(tensors), "param_groups": optimizer.state_dict()["param_groups"]})
    return int(metadata["epoch"])


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
