"""List every file below a folder, and what is not read there: links, locked folders."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from data_contracts import IngestCode
from medkd.storage.output import MARKER, kind_of


@dataclass(frozen=True)
class Entry:
    """A file below the source; or a folder or link that is not read, with the code that says why."""

    path: Path
    code: IngestCode | None = None
    evidence: str = ""
    folder: bool = False


def walk_source(root: Path, without: tuple[Path, ...], *, follow: bool) -> list[Entry]:
    """Return every file below a folder, sorted, and what is not read."""
    whole = Path(os.path.realpath(root))
    found: list[Entry] = []
    followed: set[Path] = set()
    waiting: list[tuple[Path, Path]] = [(root, whole)]
    while waiting:
        folder, real = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            found.append(Entry(folder, IngestCode.FILE_UNREADABLE, error.strerror or type(error).__name__, folder=True))
            continue
        for entry in entries:
            path = folder / entry.name
            if entry.name == MARKER:  # our own mark on a folder is no file of the source
                continue
            if not entry.is_symlink():
                if not entry.is_dir(follow_symlinks=False):
                    found.append(Entry(path))
                elif (real / entry.name) not in without:
                    waiting.append((path, real / entry.name))
                continue
            link, target = _judge_link(path, real, whole, without)
            if (
                link.code is IngestCode.LINK_OUTSIDE
                and follow
                and target is not None
                and kind_of(target) is None
                and target not in followed
            ):
                if target.is_dir():
                    # Once: a second link to it would count its files twice.
                    followed.add(target)
                    waiting.append((path, target))
                else:
                    found.append(Entry(path))
                continue
            found.append(link)
    # File systems list in an order of their own: sorted, the same source gives the same store.
    return sorted(found, key=lambda entry: entry.path)


def _judge_link(path: Path, real: Path, whole: Path, without: tuple[Path, ...]) -> tuple[Entry, Path | None]:
    """Return what a link is, and where it leads to.

    Args:
        path: of the link.
        real: the folder that it lies in, as the file system knows it.
        whole: the source, as the file system knows it.
        without: folders that are not read.
    """
    try:
        target = Path(os.path.realpath(path, strict=True))
        is_folder = target.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Entry(path, IngestCode.LINK_CYCLE, "a link to itself"), None
        if isinstance(error, PermissionError):
            return Entry(path, IngestCode.FILE_UNREADABLE, error.strerror or "PermissionError"), None
        return Entry(path), None  # to nothing: whoever reads it says so
    if is_folder and (target == real or target in real.parents):
        return Entry(path, IngestCode.LINK_CYCLE, "a link to a folder that it lies in"), target
    if any(target == left_out or left_out in target.parents for left_out in without):
        return Entry(path, IngestCode.LINK_CYCLE, "a link to where results are written"), target
    inside = whole in target.parents or target == whole
    if not inside:
        return Entry(path, IngestCode.LINK_OUTSIDE, "a link to a folder" if is_folder else "a link to a file"), target
    return (Entry(path, IngestCode.LINK_INSIDE, "a link to a folder of the source") if is_folder else Entry(path)), target


def readable_name(name: str) -> str:
    """Return a name as text that can be written anywhere: bytes that are no UTF-8 as ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
