"""Find every file of a source and read its header; nothing is judged here but whether it is DICOM at all, and whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_contracts import IngestCode, IngestError, SourceError
from medkd.dicom.archive import MOST_NESTED, Budget, is_archive, unpack
from medkd.dicom.fetch_bytes import fetch, fetch_all
from medkd.dicom.found_file import FoundFile
from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.read_header import parse_header
from medkd.dicom.walk_source import Entry, readable_name, walk_source
from medkd.progress import progress_bar


@dataclass(frozen=True)
class Listed:
    """A file of a source whose header was not read yet.

    Attributes:
        path: where it lies.
        relative: what reports call it; no other file of the source is called so.
        known: what it is, where that needs no header: an archive, a link, a locked folder.
    """

    path: Path
    relative: str
    known: FoundFile | None = None


def discover(
    source: Path, scratch: Path, *, without: tuple[Path, ...] = (), follow: bool = False, progress: bool = False
) -> tuple[FoundFile, ...]:
    """Return every file of a source with its header: :func:`list_source`, then :func:`read_headers`."""
    return read_headers(list_source(source, scratch, without=without, follow=follow), progress=progress)


def list_source(source: Path, scratch: Path, *, without: tuple[Path, ...] = (), follow: bool = False) -> tuple[Listed, ...]:
    """Return every file below a folder (or the one file), sorted by relative path; members of archives follow their archive. What may not
    be read, and links that are not followed, are listed too, under their code.

    Args:
        source: folder, file, archive, or a DICOMDIR (then its folder is meant).
        scratch: folder for what archives hold; the caller removes it.
        without: folders that are left out: what is written must not be read again where it lies inside the source.
        follow: read what links lead to outside of the source.

    Raises:
        SourceError: ``SOURCE_MISSING``. An empty folder is not an error: nothing was found in it.
    """
    if not source.exists():
        raise SourceError("SOURCE_MISSING", f"expected a DICOM folder or file at {source}, there is nothing")
    if source.name.upper() == "DICOMDIR" and source.is_file():
        source = source.parent
    root = source if source.is_dir() else source.parent
    entries = walk_source(root, tuple(folder.resolve() for folder in without), follow=follow) if source.is_dir() else [Entry(source)]
    listed: list[Listed] = []
    called: set[str] = set()
    archives = _Archives(scratch)
    above = len(str(root / "x")) - 1
    for entry in entries:
        relative = _unique(readable_name(str(entry.path)[above:] + ("/" if entry.folder else "")), called)
        if entry.code is not None:
            listed.append(Listed(entry.path, relative, FoundFile(entry.path, relative, "", None, entry.code, entry.evidence)))
        elif is_archive(entry.path):
            for path, name, found in archives.open(entry.path, relative):
                inside = relative if name == relative else _unique(name, called)
                listed.append(Listed(path, inside, None if found is None else replace(found, relative=inside)))
        else:
            listed.append(Listed(entry.path, relative))
    return tuple(listed)


def read_headers(listed: Sequence[Listed], *, progress: bool = False) -> tuple[FoundFile, ...]:
    """Return listed files with their headers, in their order; what is known already is not read.

    Args:
        listed: files of a source.
        progress: show a progress bar.
    """
    with quiet_dicom():
        pairs = zip(listed, fetch_all([one.path if one.known is None else None for one in listed]), strict=True)
        read = (one.known or parse_header(one.path, one.relative, fetched) for one, fetched in pairs)
        return tuple(progress_bar(read, title="headers", unit="file", enabled=progress, total=len(listed)))


def _unique(name: str, called: set[str]) -> str:
    """Return a name that nothing else is called: every file needs a line of its own."""
    number, wanted = 1, name
    while name in called:
        number += 1
        name = f"{wanted} ({number})"
    called.add(name)
    return name


class _Archives:
    """Opens archives below a scratch folder, and the archives in them."""

    def __init__(self, scratch: Path) -> None:
        self.scratch, self.opened = scratch, 0

    def open(self, path: Path, relative: str) -> Iterator[tuple[Path, str, FoundFile | None]]:
        """Yield an archive and everything in it: where it lies, what it is called, and what it is where that is known already."""
        # One budget for all that lies in it: archives in archives multiply.
        budget = Budget(path.stat().st_size)
        yield from self._open(path, relative, budget, 1)

    def _open(self, path: Path, relative: str, budget: Budget, depth: int) -> Iterator[tuple[Path, str, FoundFile | None]]:
        digest = fetch(path)[0]
        if depth > MOST_NESTED:
            evidence = f"an archive in {MOST_NESTED} others"
            yield path, relative, FoundFile(path, relative, digest, None, IngestCode.ARCHIVE_TOO_DEEP, evidence)
            return
        self.opened += 1
        try:
            members = unpack(path, self.scratch / str(self.opened), name=relative, budget=budget)
        except IngestError as error:
            yield path, relative, FoundFile(path, relative, digest, None, error.ingest_code, str(error))
            return
        yield path, relative, FoundFile(path, relative, digest, None, IngestCode.ARCHIVE_OPENED, f"{len(members)} members")
        for member in members:
            name = f"{relative}/{readable_name(member.name)}"
            if is_archive(member.path, member.name):
                yield from self._open(member.path, name, budget, depth + 1)
            else:
                yield member.path, name, None
