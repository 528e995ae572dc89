"""Open archives safely: no path that leaves the folder, no flood of bytes, every member accounted for."""

from __future__ import annotations

import gzip
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data_contracts import IngestCode, IngestError
from data_contracts.private import open_private, private_folder

#: Limits: members of one archive, bytes of one archive unpacked, and how many times larger than packed it may become.
MOST_MEMBERS, MOST_BYTES, MOST_RATIO = 200_000, 64 * 2**30, 200
#: Archives inside archives are opened so deep: an export of exports.
MOST_NESTED = 3
#: Small archives may be highly compressible: the ratio counts from here.
RATIO_FROM_BYTES = 64 * 2**20


_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Member:
    """A file of an archive: its name there, and where it was unpacked to."""

    name: str
    path: Path


def is_archive(path: Path, name: str = "") -> bool:
    """Return whether a file is a zip archive or compressed by gzip, by its first bytes (and not, say, a spreadsheet by its suffix).

    ``name`` is what it is called where it came from. A file that may not be read is none: whoever reads it says so.
    """
    called = PurePosixPath(name or path.name)
    if called.name.lower().endswith(".nii.gz") or called.suffix.lower() not in {".zip", ".gz", ""}:
        return False
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False  # a pipe would wait for somebody to write
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError:
        return False
    return start[:2] == _GZIP if called.suffix.lower() == ".gz" else start in {b"PK\x03\x04", b"PK\x05\x06"}


@dataclass
class Budget:
    """How much an archive of the source may still unpack to, with everything that is nested in it.

    Attributes:
        packed: bytes of the outermost archive.
        unpacked: bytes that were unpacked of it so far.
        members: members of it so far.
    """

    packed: int
    unpacked: int = 0
    members: int = 0

    def spend(self, count: int, total: int) -> None:
        """Count members and bytes.

        Raises:
            IngestError: ``ZIP_BOMB``.
        """
        self.members, self.unpacked = self.members + count, self.unpacked + total
        too_dense = self.unpacked > RATIO_FROM_BYTES and self.unpacked > MOST_RATIO * max(self.packed, 1)
        if self.members > MOST_MEMBERS or self.unpacked > MOST_BYTES or too_dense:
            evidence = {"members": self.members, "bytes": self.unpacked, "packed_bytes": self.packed}
            message = f"expected an archive of ordinary size, {self.packed} bytes unpack to {self.unpacked}"
            raise IngestError(IngestCode.ZIP_BOMB, message, evidence)


def unpack(path: Path, folder: Path, *, name: str = "", budget: Budget | None = None) -> tuple[Member, ...]:
    """Unpack an archive below ``folder`` under numbers: names of members are never used as paths.

    Args:
        path: of the archive.
        folder: to unpack to.
        name: what the archive is called where it came from.
        budget: of the outermost archive that it lies in.

    Raises:
        IngestError: ``PATH_ESCAPE`` for absolute paths, ``..`` and links; ``ZIP_BOMB``; ``ARCHIVE_UNREADABLE``. Nothing is left
            of what was unpacked before.
    """
    called = name or path.name
    try:
        spent = budget or Budget(path.stat().st_size)
        return _gunzip(path, folder, called, spent) if called.lower().endswith(".gz") else _unzip(path, folder, spent)
    except IngestError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except Exception as error:  # zipfile and gzip raise what they like on broken, encrypted or exotic archives
        shutil.rmtree(folder, ignore_errors=True)
        message = f"expected a readable archive without a password ({type(error).__name__})"
        raise IngestError(IngestCode.ARCHIVE_UNREADABLE, message, {"error": type(error).__name__}) from error


def _unzip(path: Path, folder: Path, budget: Budget) -> tuple[Member, ...]:
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        _judge(members)
        budget.spend(len(members), sum(info.file_size for info in members))
        private_folder(folder)
        unpacked = []
        for number, info in enumerate(members):
            kept = next((end for end in (".nii.gz", ".nii") if info.filename.lower().endswith(end)), "")
            target = folder / f"{number:06d}{kept}"
            # zipfile gives no more bytes than the directory states, and refuses a member whose checksum then differs.
            with archive.open(info) as source, open_private(target) as sink:
                shutil.copyfileobj(source, sink, 2**20)
            unpacked.append(Member(info.filename, target))
        return tuple(unpacked)


def _gunzip(path: Path, folder: Path, name: str, budget: Budget) -> tuple[Member, ...]:
    """Unpack the one file that gzip compressed; how large it becomes is known only while it is unpacked."""
    private_folder(folder)
    target = folder / "000000"
    budget.spend(1, 0)
    with gzip.open(path, "rb") as source, open_private(target) as sink:
        while chunk := source.read(2**20):
            budget.spend(0, len(chunk))
            sink.write(chunk)
    return (Member(PurePosixPath(name).name[: -len(".gz")] or "file", target),)


def _judge(members: list[zipfile.ZipInfo]) -> None:
    for info in members:
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        link = stat.S_ISLNK(info.external_attr >> 16)
        if parts.is_absolute() or ".." in parts.parts or (parts.parts and parts.parts[0].endswith(":")) or link:
            how = "is a link" if link else "is absolute" if parts.is_absolute() else "points outside"
            number = members.index(info) + 1
            raise IngestError(
                IngestCode.PATH_ESCAPE, f"expected members inside the archive's own folder, member {number} of {len(members)} {how}"
            )


@contextmanager
def files_of(source: Path) -> Iterator[list[Path]]:
    """Give the files of a folder, a zip or a file; those of a zip are unpacked for as long as they are read."""
    if source.is_dir():
        yield [path for path in sorted(source.rglob("*")) if path.is_file()]
    elif is_archive(source):
        with tempfile.TemporaryDirectory(prefix="medkd-unpacked-") as folder:
            yield [member.path for member in unpack(source, Path(folder) / "files")]
    else:
        yield [source]
