"""Registered versions with their networks: every byte verified before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from torch import nn

from data_contracts import Calibration, Checkpoint, LossStatement, ModelCard, ModelRef, RegistryError, Role, load_record
from medkd.models._load import restore_network
from medkd.registry.interface import Registry
from medkd.registry.version_files import CALIBRATION, CARD, LOSS_STATEMENT
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace


def load_loss_statement(registry: Registry, uri: str) -> LossStatement:
    """Return what a registered student lost against its teacher.

    Raises:
        RegistryError: ``NO_LOSS_STATEMENT`` for a teacher, and for a version that was registered without one.
    """
    model, folder = registry.fetch(uri)
    if not (folder / LOSS_STATEMENT).is_file():
        why = "it is a teacher" if model.role is Role.TEACHER else "it was distilled without its teacher, or before there were statements"
        raise RegistryError("NO_LOSS_STATEMENT", f"expected {LOSS_STATEMENT} in {model.uri}, it has none: {why}")
    return load_record(folder / LOSS_STATEMENT, LossStatement)


def load_registered(registry: Registry, uri: str) -> tuple[ModelRef, Checkpoint, nn.Module]:
    """Return (ModelRef, Checkpoint, network in eval mode) of a registered version, every byte verified first."""
    return load_calibrated(registry, uri)[:3]


def load_calibrated(registry: Registry, uri: str) -> tuple[ModelRef, Checkpoint, nn.Module, Calibration | None]:
    """Return what :func:`load_registered` does, and the calibration of the version's probabilities where it has one."""
    return load_version(registry, uri)[:4]


class LoadedVersion(NamedTuple):
    """A registered version with its network in eval mode; calibration and card are None of a version that has none."""

    model: ModelRef
    checkpoint: Checkpoint
    network: nn.Module
    calibration: Calibration | None
    card: ModelCard | None


def load_version(registry: Registry, uri: str) -> LoadedVersion:
    """Return a registered version, every byte verified first."""
    model, folder = registry.fetch(uri)
    checkpoint = load_record(folder / "checkpoint.json", Checkpoint)
    network = restore_network(checkpoint.network, folder / "weights.safetensors", checkpoint.weights_digest)
    calibration = load_record(folder / CALIBRATION, Calibration) if (folder / CALIBRATION).is_file() else None
    card = load_record(folder / CARD, ModelCard) if (folder / CARD).is_file() else None
    return LoadedVersion(model, checkpoint, network, calibration, card)


def adopt(workspace: Workspace, registry: Registry, uri: str) -> tuple[ModelRef, Checkpoint, Checkpoint]:
    """Bring a registered model and its teacher (itself, where its lineage names none) into a workspace's store.

    Returns:
        The version, its checkpoint and its teacher's, weights below ``adopted/``.
    """
    model, folder = registry.fetch(uri)
    own = _adopted(workspace, folder)
    if model.teacher is None:
        return model, own, own
    return model, own, _adopted(workspace, registry.fetch(model.teacher.uri)[1])


def _adopted(workspace: Workspace, folder: Path) -> Checkpoint:
    checkpoint = load_record(folder / "checkpoint.json", Checkpoint)
    key = f"adopted/{checkpoint.weights_digest}.safetensors"
    write_bytes(workspace.store.root / key, (folder / "weights.safetensors").read_bytes())
    return checkpoint.model_copy(update={"weights": workspace.store.refer(key)})
