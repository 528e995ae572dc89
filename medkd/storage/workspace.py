"""Where a run lies, and stages that remember: a finished stage is not repeated, and what it left is verified before it is used.

Durable truth is files: each stage writes its result record under the digest of its inputs and of the code it runs. The
orchestrator only drives, so a killed run goes on with either engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_contracts.private import private_folder
from medkd.storage.store import Store


@dataclass(frozen=True)
class Workspace:
    """Where a run keeps its files on this machine; never part of a digest.

    Attributes:
        root: folder of the run.
        tracking_uri: MLflow tracking and registry URI.
        progress: show progress bars.
        data_root: folder that paths of recipes are relative to.
    """

    root: Path
    tracking_uri: str
    progress: bool = False
    data_root: Path = Path()

    @property
    def store(self) -> Store:
        """Return the run's store of tensors and records."""
        return Store(self.root / "store", "run")


def local_workspace(root: Path, *, progress: bool = False, data_root: Path = Path()) -> Workspace:
    """Return a workspace that tracks to a SQLite file of its own, no server needed."""
    root = private_folder(root.resolve())
    return Workspace(root=root, tracking_uri=f"sqlite:///{root / 'mlflow.db'}", progress=progress, data_root=data_root.resolve())
