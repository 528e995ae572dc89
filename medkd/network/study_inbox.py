"""A folder that studies arrive in: each is collected out of sight and handed over in one step, once it is whole.

::

    INBOX/STUDY/INSTANCE.dcm                     handed over: whoever watches the folder sees a whole study or none
    INBOX/.incoming/STUDY/INSTANCE.dcm           received and acknowledged, waiting for the rest
    INBOX/.incoming/STUDY/.associations/…        associations that brought some of it and have not ended well (yet)
    INBOX/.incoming/.parts/…                     being received; nothing of it was acknowledged, so a killed process's are removed

A study is whole when no association that brought some of it is open, none of them broke off or was refused something, and nothing of it came for
a while. After an association that broke off, a later one of the same peer that ends well makes it whole: DICOM has no other sign. What
comes behind a study that was handed over is added to it, the same way.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from data_contracts import DataError
from data_contracts.private import FILE_MODE, open_private, private_folder
from medkd.network.part10 import file_head
from medkd.network.status import StoreStatus
from medkd.network.whole_dataset import UID_FORM, identify_file
from medkd.storage.store import sha256_file

_INCOMING, _PARTS, _MARKS = ".incoming", ".parts", ".associations"


@dataclass(frozen=True)
class InboxLimits:
    """What an inbox takes, and when a study in it is whole.

    Attributes:
        quiet_s: seconds without anything new after which a study is whole.
        min_free_bytes: of the disk: with less, objects are refused (0xA700) before anything is written.
        sync_objects: whether an object is on the disk itself before it is acknowledged, and not only with the operating system. A killed
            process loses nothing either way; a machine without power loses what was not on the disk.
    """

    quiet_s: float = 30.0
    min_free_bytes: int = 5 << 30
    sync_objects: bool = False


@dataclass(frozen=True)
class WaitingStudy:
    """A study that is not handed over yet.

    Attributes:
        study_instance_uid: of it.
        objects: that were received.
        broken: whether an association broke off, or was refused something, and the peer has not come again.
        quiet_s: seconds since anything of it came.
    """

    study_instance_uid: str
    objects: int
    broken: bool
    quiet_s: float


class StudyInbox:
    """Collects objects into studies. One process at a time works on a folder (see :class:`medkd.network.receive.Receiver`).

    Args:
        folder: of the inbox.
        limits: of it.
    """

    def __init__(self, folder: Path, limits: InboxLimits | None = None) -> None:
        self.folder, self.limits = folder, limits or InboxLimits()
        self._incoming = private_folder(folder / _INCOMING)
        self.parts = self._incoming / _PARTS
        # Whatever lies here was not acknowledged when the process before this one ended.
        shutil.rmtree(self.parts, ignore_errors=True)
        private_folder(self.parts)
        self._lock = threading.RLock()
        #: Of each open association, the studies that it is marked beside.
        self._open: dict[str, set[str]] = {}

    def association(self, peer: str) -> IncomingAssociation:
        """Begin to take objects of an association.

        Args:
            peer: who sends: the calling AE title.
        """
        return IncomingAssociation(self, peer)

    def has_room(self) -> bool:
        """Return whether the disk has as much room as must stay free."""
        return shutil.disk_usage(self._incoming).free >= self.limits.min_free_bytes

    def release(self) -> list[Path]:
        """Hand over every study that is whole, and return their folders in the inbox."""
        return [place for one in self.waiting() if self._is_whole(one) and (place := self._hand_over(one)) is not None]

    def waiting(self) -> list[WaitingStudy]:
        """Return the studies that are not handed over yet."""
        now = time.time()
        with self._lock:
            return [self._looked_at(path, now) for path in sorted(self._incoming.iterdir()) if path.name != _PARTS]

    def collected(self, study: str) -> list[Path]:
        """Return the objects of a study that is not handed over yet."""
        return sorted((self._incoming / study).glob("*.dcm"))

    def open_associations(self) -> int:
        """Return how many associations are under way."""
        return len(self._open)

    def _is_whole(self, one: WaitingStudy) -> bool:
        return bool(one.objects) and not one.broken and one.quiet_s >= self.limits.quiet_s and not self._marks(one.study_instance_uid)

    def _looked_at(self, path: Path, now: float) -> WaitingStudy:
        objects = [file for file in path.iterdir() if not file.name.startswith(".")]
        newest = max((file.stat().st_mtime for file in (path, *objects)), default=now)
        broken = any(mark.name not in self._open for mark in self._marks(path.name))
        return WaitingStudy(path.name, len(objects), broken, max(0.0, now - newest))

    def _marks(self, study: str) -> list[Path]:
        folder = self._incoming / study / _MARKS
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def _hand_over(self, one: WaitingStudy) -> Path | None:
        collected, place = self._incoming / one.study_instance_uid, self.folder / one.study_instance_uid
        for file in collected.iterdir():
            if file.is_file():
                _sync(file)
        with self._lock:
            # Looked at again: what came while the disk wrote is waited for.
            if not self._is_whole(self._looked_at(collected, time.time())):
                return None
            shutil.rmtree(collected / _MARKS, ignore_errors=True)
            if place.exists():
                for file in sorted(collected.iterdir()):
                    os.rename(file, place / file.name)
                collected.rmdir()
            else:
                os.rename(collected, place)
        _sync(place)
        _sync(self.folder)
        return place

    def keep(self, part: Path, study: str, instance: str, association: tuple[str, str]) -> bool:
        """Give a received file its place, and return whether it is new: the same object again is the one that is there.

        Another object under the same identifier is kept beside it, under its digest: which of them is right is for ingestion to judge.

        Args:
            part: the file.
            study: that it belongs to, which is not whole until the association ends well.
            instance: its identifier.
            association: that brought it: its token, and who sent.
        """
        with self._lock:
            name = f"{instance}.dcm"
            known = self._found(study, name)
            if known is not None and not filecmp.cmp(known, part, shallow=False):
                name = f"{instance}-{sha256_file(part)[:8]}.dcm"
                known = self._found(study, name)
            if known is None and not self._open[association[0]] & {study}:
                private_folder(self._incoming / study)
            self._touch(study, *association)
            if known is not None:
                part.unlink()
                return False
            os.rename(part, self._incoming / study / name)
            return True

    def _touch(self, study: str, token: str, peer: str) -> None:
        if study not in self._open[token] and (self._incoming / study).is_dir():
            with open_private(self._incoming / study / _MARKS / token, "w", encoding="utf-8") as stream:
                stream.write(peer)
            self._open[token].add(study)

    def _found(self, study: str, name: str) -> Path | None:
        return next(
            (Path(path) for path in (f"{self._incoming}/{study}/{name}", f"{self.folder}/{study}/{name}") if os.path.exists(path)), None
        )

    def begin(self, token: str) -> None:
        """Count an association as open."""
        with self._lock:
            self._open[token] = set()

    def end(self, token: str, peer: str, studies: set[str], *, well: bool) -> None:
        """Take back what an association that ended well stands in the way of, and what broke off of the same peer before it."""
        with self._lock:
            for study in studies if well else ():
                for mark in self._marks(study):
                    if mark.name == token or (mark.name not in self._open and mark.read_text(encoding="utf-8") == peer):
                        mark.unlink()
            self._open.pop(token, None)


class PartFile:
    """An object as it comes: bytes go to a file of their own, which is given a place or removed.

    Args:
        path: of the file.
        head: what stands before the data set.
    """

    def __init__(self, path: Path, head: bytes) -> None:
        self.path = path
        # In a folder that is there and private: `open_private` looks at every folder above.
        self._stream: BinaryIO = open(path, "wb", buffering=0, opener=lambda name, flags: os.open(name, flags, FILE_MODE))  # noqa: SIM115 (closed by `close` and `remove`)
        self._stream.write(head)

    def write(self, payload: memoryview | bytes) -> None:
        """Append bytes of the data set."""
        view = memoryview(payload)
        while len(view):
            view = view[self._stream.write(view) or 0 :]

    def close(self, *, sync: bool) -> None:
        """End the file."""
        if sync:
            os.fdatasync(self._stream.fileno())
        self._stream.close()

    def remove(self) -> None:
        """Remove what there is of it."""
        self._stream.close()
        self.path.unlink(missing_ok=True)


class IncomingAssociation:
    """What one association brings into an inbox.

    Args:
        inbox: that it comes to.
        peer: who sends.
    """

    def __init__(self, inbox: StudyInbox, peer: str) -> None:
        self._inbox, self._peer, self._token = inbox, peer, uuid.uuid4().hex
        self._studies: set[str] = set()
        self._refused: set[str] = set()
        self._ended = False
        self.received = 0
        inbox.begin(self._token)

    def begin(self, sop_class: str, instance: str, syntax: str) -> PartFile | StoreStatus:
        """Begin an object; return a file to write its data set to, or why it is refused."""
        if not UID_FORM.match(instance):
            return self._refuse(instance, StoreStatus.INVALID_INSTANCE)
        if not self._inbox.has_room():
            return self._refuse(instance, StoreStatus.OUT_OF_RESOURCES)
        try:
            return PartFile(self._inbox.parts / f"{self._token}.part", file_head(sop_class, instance, syntax))
        except OSError:
            return self._refuse(instance, StoreStatus.OUT_OF_RESOURCES)

    def finish(self, part: PartFile, sop_class: str, instance: str) -> StoreStatus:
        """Judge an object that came, give it its place, and return what is answered."""
        try:
            part.close(sync=self._inbox.limits.sync_objects)
            found = identify_file(part.path)
            if (found.sop_class_uid, found.sop_instance_uid) != (sop_class, instance):
                raise DataError("OBJECT_IDENTITY", f"expected {instance} as announced, the data set is {found.sop_instance_uid}")
            self._inbox.keep(part.path, found.study_instance_uid, instance, (self._token, self._peer))
        except DataError as error:
            part.remove()
            return self._refuse(
                instance, StoreStatus.CANNOT_UNDERSTAND if error.code == "OBJECT_TRUNCATED" else StoreStatus.DATA_SET_DIFFERS
            )
        except OSError:
            part.remove()
            return self._refuse(instance, StoreStatus.OUT_OF_RESOURCES)
        self._studies.add(found.study_instance_uid)
        self._refused.discard(instance)
        self.received += 1
        return StoreStatus.SUCCESS

    def fail(self, part: PartFile, instance: str) -> StoreStatus:
        """Give up an object that could not be written."""
        part.remove()
        return self._refuse(instance, StoreStatus.OUT_OF_RESOURCES)

    def end(self, *, well: bool) -> None:
        """End the association: well, when the peer released it and every object of it was taken."""
        if not self._ended:
            self._ended = True
            self._inbox.end(self._token, self._peer, self._studies, well=well and not self._refused)

    def _refuse(self, instance: str, status: StoreStatus) -> StoreStatus:
        self._refused.add(instance)
        return status


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
