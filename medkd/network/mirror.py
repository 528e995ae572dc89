"""Studies of an archive on this machine: fetched instance by instance, kept whole, and handed on only when nothing of them is missing."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from data_contracts import DataError, NetworkError
from data_contracts.private import open_private, private_folder
from medkd.network.addresses import StudySource
from medkd.network.retry import Retries, Transient, retried
from medkd.network.whole_dataset import UID_FORM, identify_file
from medkd.storage.empty_database import cache_folder
from medkd.storage.run_lock import locked

#: Seconds that a process waits for another one that fills the same mirror.
_WAIT_S = 3600.0
#: Free bytes of the disk with less than which nothing more is fetched.
MIN_FREE_BYTES = 5 << 30
#: More studies than this are fetched by several commands, so that a key that was mistyped does not bring an archive.
MOST_STUDIES = 1000


@dataclass(frozen=True)
class Instance:
    """An object that an archive lists.

    Attributes:
        series_instance_uid: that it belongs to.
        sop_instance_uid: of it.
        sop_class_uid: of it; empty where the archive does not say.
    """

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""


class Archive(Protocol):
    """What studies are fetched from."""

    def studies(self, keys: tuple[tuple[str, str], ...]) -> list[str]:
        """Return the StudyInstanceUIDs of the studies that have the keys."""

    def instances(self, study: str) -> list[Instance]:
        """Return every object of a study."""

    def fetch(self, study: str, wanted: list[Instance], mirror: StudyMirror) -> None:
        """Bring objects into the mirror; :class:`Transient` where some may come the next time."""


class StudyMirror:
    """The folder of one study: objects under their identifiers, each whole.

    Args:
        folder: of it.
        min_free_bytes: of the disk, without which nothing more is taken.
    """

    def __init__(self, folder: Path, *, min_free_bytes: int = MIN_FREE_BYTES) -> None:
        self.folder, self._min_free_bytes = private_folder(folder), min_free_bytes

    def held(self) -> set[str]:
        """Return the identifiers of the objects that are here."""
        return {path.stem for path in self.folder.glob("*.dcm")}

    def keep(self, payload: Iterable[bytes], instance: str) -> None:
        """Keep an object, given as the bytes of a DICOM file.

        Raises:
            DataError: ``OBJECT_TRUNCATED`` or ``OBJECT_IDENTITY`` where it is not the whole object of that name: nothing is kept.
            NetworkError: ``DISK_FULL``.
        """
        self.require_room()
        part = self.folder / f".{instance}.{os.getpid()}.part"
        try:
            with open_private(part, "wb") as stream:
                for piece in payload:
                    stream.write(piece)
            self.take(part, instance)
        finally:
            part.unlink(missing_ok=True)

    def take(self, part: Path, instance: str) -> None:
        """Take a file that lies on the same disk, as :meth:`keep`."""
        found = identify_file(part)
        if (found.study_instance_uid, found.sop_instance_uid) != (self.folder.name, instance):
            raise DataError(
                "OBJECT_IDENTITY", f"expected {instance} of the study, got {found.sop_instance_uid} of {found.study_instance_uid}"
            )
        os.replace(part, self.folder / f"{instance}.dcm")

    def require_room(self) -> None:
        """Refuse to go on with less free disk than must stay.

        Raises:
            NetworkError: ``DISK_FULL``.
        """
        free = shutil.disk_usage(self.folder).free
        if free < self._min_free_bytes:
            raise NetworkError(
                "DISK_FULL",
                f"expected {self._min_free_bytes >> 20} MiB of free disk for what an archive sends, there are {free >> 20} MiB; free some",
            )

    def keep_only(self, instances: Iterable[Instance]) -> None:
        """Remove what the archive lists no longer, and what a killed process left."""
        listed = {f"{one.sop_instance_uid}.dcm" for one in instances}
        for path in self.folder.iterdir():
            if path.name not in listed:
                path.unlink()


def bring_studies(
    source: StudySource,
    archive: Archive,
    *,
    retries: Retries | None = None,
    min_free_bytes: int = MIN_FREE_BYTES,
    said: Callable[[str], None] = lambda _: None,
) -> Path:
    """Return a folder that holds every object of the studies that a source names, a folder each; what is here already is not fetched again.

    Args:
        source: what is asked for.
        archive: that is asked.
        retries: of what fails for the moment.
        min_free_bytes: of the disk, that stay.
        said: hears a line of each study.

    Raises:
        NetworkError: ``NO_STUDY`` or ``TOO_MANY_STUDIES``; ``PARTIAL_STUDY`` when not every object came: what did come is not fetched again the
            next time; ``DISK_FULL``; whatever the archive raises.
    """
    retries = retries or Retries()
    root = mirror_of(source)
    with locked(private_folder(root) / ".lock", wait_s=_WAIT_S):
        studies = sorted(retried(lambda: archive.studies(source.keys), retries))
        _require_some(studies, source)
        folder = private_folder(root / "studies")
        for path in folder.iterdir():
            if path.name not in studies:
                shutil.rmtree(path)
        for study in studies:
            mirror = StudyMirror(folder / study, min_free_bytes=min_free_bytes)
            count = _complete(archive, study, mirror, retries)
            said(f"study {study}: {count} objects")
    return folder


def mirror_of(source: StudySource) -> Path:
    """Return where studies of a source lie on this machine: private, in the user's cache folder."""
    asked = f"{source.peer}?{sorted(source.keys)}"
    return cache_folder() / "archives" / hashlib.sha256(asked.encode()).hexdigest()[:16]


def _require_some(studies: list[str], source: StudySource) -> None:
    named = ", ".join(name for name, _ in source.keys)  # values may be names and numbers of patients
    strange = [one for one in studies if not UID_FORM.match(one)]
    if strange:
        raise NetworkError("PEER_ANSWER", f"expected StudyInstanceUIDs of {source.peer}, got {strange[0][:64]!r}")
    if not studies:
        raise NetworkError(
            "NO_STUDY", f"expected studies of {source.peer} with that {named}, it has none; look at how the keys are written"
        )
    if len(studies) > MOST_STUDIES:
        raise NetworkError(
            "TOO_MANY_STUDIES",
            f"expected at most {MOST_STUDIES} studies with that {named}, {source.peer} has {len(studies)}; ask for fewer",
        )


def _complete(archive: Archive, study: str, mirror: StudyMirror, retries: Retries) -> int:
    """Fetch what is missing of a study, and return of how many objects it is."""
    listed = retried(lambda: archive.instances(study), retries)
    mirror.keep_only(listed)
    trouble: Exception | None = None
    for wait in [*retries.waits(), None]:
        wanted = [one for one in listed if one.sop_instance_uid not in mirror.held()]
        if not wanted:
            break
        try:
            archive.fetch(study, wanted, mirror)
        except Transient as error:
            trouble = error.__cause__ if isinstance(error.__cause__, Exception) else error
        if wait is None or mirror.held() >= {one.sop_instance_uid for one in listed}:
            break
        time.sleep(wait)
    missing = len({one.sop_instance_uid for one in listed} - mirror.held())
    if not listed or missing:
        if trouble is not None and missing == len(listed):
            raise trouble
        why = f" ({trouble})" if trouble is not None else ""
        raise NetworkError(
            "PARTIAL_STUDY",
            f"expected {len(listed) or 'some'} objects of study {study}, {len(listed) - missing} came{why}; start the same command to fetch the rest",
        )
    return len(listed)
