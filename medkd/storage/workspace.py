"""Where a run lies: its folder on this machine, the objects that it shares with other machines, the registry, the folder of data."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path

from data_contracts import StoreError
from data_contracts.private import private_folder
from medkd.storage.objects import STORE, ObjectStore, open_objects, store_uri
from medkd.storage.store import Store, write_bytes

#: Environment variable of a worker that has a folder of its own: where its part of runs lies.
WORK = "MEDKD_WORK"


@dataclass(frozen=True)
class Workspace:
    """Where a run keeps its files on this machine; never part of a digest.

    Attributes:
        root: folder of the run.
        tracking_uri: MLflow tracking and registry URI.
        progress: show progress bars.
        data_root: folder that paths of recipes are relative to.
        store_uri: of the objects that machines share; by default ``MEDKD_STORE``; None shares nothing.
        run_id: that a run has on every machine (:func:`run_folder_id`); None where it is only here.
    """

    root: Path
    tracking_uri: str
    progress: bool = False
    data_root: Path = Path()
    store_uri: str | None = field(default_factory=store_uri)
    run_id: str | None = None

    @property
    def objects(self) -> ObjectStore | None:
        """Return the objects that machines share, None where nothing is shared."""
        return None if self.store_uri is None else open_objects(self.store_uri)

    @property
    def store(self) -> Store:
        """Return the run's store of tensors and records."""
        return Store(self.root / "store", "run", self.objects)

    def store_at(self, folder: str) -> Store:
        """Return another store of the run, as its ingested studies, by its folder relative to the run's."""
        return Store(self.root / folder, objects=self.objects)

    def for_others(self) -> Workspace:
        """Return the workspace as it goes to machines with folders of their own: with the run's id."""
        return replace(self, run_id=run_folder_id(self.root))

    def on_this_machine(self, work: Path, uri: str | None = None) -> Workspace:
        """Return the workspace of another machine's run in a folder of this one.

        Args:
            work: folder of this machine's parts of runs.
            uri: of the store as it is called here; None: as it came.

        Raises:
            StoreError: ``STORE_MISSING_HERE`` without a store, ``TRACKING_LOCAL`` for a registry that is a file of the other machine.
        """
        if self.store_uri is None:
            raise StoreError(
                "STORE_MISSING_HERE", f"expected a store that machines share, {WORK} is set without one; set {STORE} where the run starts"
            )
        if self.tracking_uri.startswith("sqlite:"):
            raise StoreError(
                "TRACKING_LOCAL",
                f"expected a tracking server, got {self.tracking_uri.partition(':')[0]}, a file of the machine that started the run; "
                "name a server with --tracking-uri",
            )
        root = private_folder(work.resolve() / (self.run_id or "run"))
        if self.run_id is not None and not (root / FOLDER_ID).is_file():
            write_bytes(root / FOLDER_ID, self.run_id.encode())
        return replace(self, root=root, store_uri=uri or self.store_uri, progress=False)


#: File of a run's folder that holds its id.
FOLDER_ID = "tracking/folder_id"


def run_folder_id(root: Path) -> str:
    """Return the name that a run's folder keeps wherever it is moved; made when it is first asked for."""
    path = root / FOLDER_ID
    if not path.is_file():
        write_bytes(path, uuid.uuid4().hex.encode())
    return path.read_text(encoding="utf-8").strip()


def local_workspace(root: Path, *, progress: bool = False, data_root: Path = Path()) -> Workspace:
    """Return a workspace that tracks to a SQLite file of its own, no server needed."""
    root = private_folder(root.resolve())
    return Workspace(root=root, tracking_uri=f"sqlite:///{root / 'mlflow.db'}", progress=progress, data_root=data_root.resolve())
