"""The folder of a site: what its deployments share. One store for everything that came in, one worklist for everybody who reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data_contracts import Worklist, WorklistEntry
from flows.inbox import Inbox
from medkd.storage.output import RUN, claim
from medkd.storage.run_lock import locked
from medkd.storage.sealed import load_sealed, write_sealed

#: Seconds that a deployment waits for another one that writes to the same place.
WAIT_S = 600.0


@dataclass(frozen=True)
class Site:
    """Where a site's deployments work.

    Attributes:
        root: the folder.
    """

    root: Path

    @classmethod
    def claimed(cls, root: Path) -> Site:
        """Return the site of a folder, which is made ours.

        Raises:
            OutputError: as :func:`medkd.storage.output.claim`.
        """
        return cls(claim(root, RUN))

    @property
    def store(self) -> Path:
        """Return the store of everything that was accepted."""
        return self.root / "studies"

    @property
    def worklist_folder(self) -> Path:
        """Return the folder of the worklist's pages."""
        return self.root / "worklist"

    @property
    def _worklist(self) -> Path:
        return self.worklist_folder / "worklist.json"

    @property
    def results_folder(self) -> Path:
        """Return the folder of DICOM results; they carry their patients."""
        return self.root / "results"

    def inbox(self, folder: Path, settle_s: float) -> Inbox:
        """Return the inbox of a folder, with what this site took from it."""
        return Inbox(folder, self.root / "quarantine" / "inbox.json", settle_s)

    def worklist(self) -> Worklist:
        """Return the worklist; empty where none was written.

        Raises:
            StoreError: ``WORKLIST_ALTERED`` when it is not what was written.
        """
        if not self._worklist.is_file():
            return Worklist()
        return load_sealed(
            self._worklist, Worklist, code="WORKLIST_ALTERED", mend="put back the file, or remove it to report everything again"
        )

    def add(self, *entries: WorklistEntry) -> Worklist:
        """Put entries on the worklist and return it."""
        with locked(self.root / ".worklist-lock", wait_s=WAIT_S):
            extended = self.worklist().add(*entries)
            write_sealed(extended, self._worklist)
        return extended

    def replace(self, *entries: WorklistEntry) -> Worklist:
        """Put entries in the places of those of the same series and model, and return the worklist."""
        with locked(self.root / ".worklist-lock", wait_s=WAIT_S):
            changed = self.worklist().replace(*entries)
            write_sealed(changed, self._worklist)
        return changed

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only deployment that adds to the store or asks models about it."""
        with locked(self.root / ".site-lock", wait_s=WAIT_S):
            yield
