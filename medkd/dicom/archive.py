"""Open archives safely: no path that leaves the folder, no flood of bytes, every member accounted for."""

from __future__ import annotations

import shutil
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data_contracts import IngestCode, IngestError
from data_contracts.private import open_private, private_folder

#: Limits: members of one archive, bytes of one archive unpacked, and how many times larger than packed it may become.
MOST_MEMBERS, MOST_BYTES, MOST_RATIO = 200_000, 64 * 2**30, 200
#: Small archives may be highly compressible: the ratio counts from here.
RATIO_FROM_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Member:
    """A file of an archive: its name there, and where it was unpacked to."""

    name: str
    path: Path


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip archive by its first bytes (and not, say, a spreadsheet by its suffix)."""
    if path.suffix.lower() not in {".zip", ""}:
        return False
    with path.open("rb") as stream:
        return stream.read(4) in {b"PK\x03\x04", b"PK\x05\x06"}


def unpack(path: Path, folder: Path) -> tuple[Member, ...]:
    """Unpack an archive below ``folder`` under numbers: names of members are never used as paths.

    Raises:
        IngestError: ``PATH_ESCAPE`` for absolute paths, ``..`` and links; ``ZIP_BOMB``; ``ARCHIVE_UNREADABLE``. Nothing is left
            of what was unpacked before.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            _judge(members, path.stat().st_size)
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
    except IngestError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except Exception as error:  # zipfile raises what it likes on broken, encrypted or exotic archives
        shutil.rmtree(folder, ignore_errors=True)
        message = f"expected a readable archive without a password ({type(error).__name__})"
        raise IngestError(IngestCode.ARCHIVE_UNREADABLE, message, {"error": type(error).__name__}) from error


def _judge(members: list[zipfile.ZipInfo], packed: int) -> None:
    for info in members:
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        link = stat.S_ISLNK(info.external_attr >> 16)
        if parts.is_absolute() or ".." in parts.parts or (parts.parts and parts.parts[0].endswith(":")) or link:
            raise IngestError(IngestCode.PATH_ESCAPE, "expected members inside the archive's own folder, one points outside or is a link")
    total = sum(info.file_size for info in members)
    too_dense = total > RATIO_FROM_BYTES and total > MOST_RATIO * max(packed, 1)
    if len(members) > MOST_MEMBERS or total > MOST_BYTES or too_dense:
        evidence = {"members": len(members), "bytes": total, "packed_bytes": packed}
        raise IngestError(IngestCode.ZIP_BOMB, f"expected an archive of ordinary size, {packed} bytes unpack to {total}", evidence)
