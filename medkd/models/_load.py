"""Networks of checkpoints, their weights verified."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
from torch import nn

from data_contracts import (
    Checkpoint,
    NetworkSpec,
    StoreError,
)
from medkd.models._build import build_network
from medkd.storage.store import sha256_file
from medkd.storage.workspace import Workspace


def load_network(workspace: Workspace, checkpoint: Checkpoint) -> nn.Module:
    """Return the network of a checkpoint in eval mode, its weights verified against their digest."""
    path = workspace.store.path(checkpoint.weights)
    return restore_network(checkpoint.network, path, checkpoint.weights.sha256)


def restore_network(spec: NetworkSpec, path: Path, sha256: str) -> nn.Module:
    """Build a network and load verified weights into it.

    Raises:
        StoreError: ``WEIGHTS_ALTERED`` when the file is missing or its bytes differ from the digest.
    """
    if not path.is_file() or sha256_file(path) != sha256:
        raise StoreError("WEIGHTS_ALTERED", f"expected weights with sha256 {sha256[:12]} in {path.name}, the file is missing or altered")
    network = build_network(spec)
    network.load_state_dict(safetensors.torch.load_file(path))
    return network.eval()
