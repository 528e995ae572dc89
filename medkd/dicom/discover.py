"""Find every file of a source and read its header; nothing is judged here but whether it is DICOM at all, and whether it is whole."""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
import stat
import struct
import time
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import xxhash
from pydicom import Dataset, config, dcmread
from pydicom.datadict import dictionary_has_tag
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from data_contracts import IngestCode, IngestError, SourceError
from medkd.dicom.archive import MOST_NESTED, Budget, is_archive, unpack
from medkd.dicom.plain_header import PIXEL_DATA, known_syntax, plain_header
from medkd.dicom.raw_values import TRANSFER_SYNTAX
from medkd.progress import progress_bar
from medkd.storage.output import MARKER, kind_of

_THREADS = 4
#: Seconds per file from which reading is waiting, and how many files are then read ahead.
_WAITING_SECONDS, _AHEAD = 0.002, 32
#: Files up to this are read at once; larger ones are streamed.
_AT_ONCE = 32 * 2**20
#: Bytes of a file that are kept until its header is parsed.
_HEADER_BYTES = 64 * 2**10
_UNDEFINED = 0xFFFFFFFF
_ITEM, _DELIMITER = 0xFFFEE000, 0xFFFEE0DD


#: Digest, the first bytes of the file (all of a small one), size, and why there are none.
_Fetched = tuple[str, bytes, int, str]


@dataclass(frozen=True)
class PixelPlace:
    """Where the pixel data of a file lie.

    Attributes:
        offset: of the first byte of the value; None where it is not in the file as it is (deflated).
        length: bytes of the value; None where they are encapsulated.
        whole: False where the value reaches beyond the end of the file.
    """

    offset: int | None
    length: int | None
    whole: bool = True


#: Codes of what is found and never read.
UNREAD = frozenset({IngestCode.FILE_UNREADABLE, IngestCode.LINK_INSIDE, IngestCode.LINK_OUTSIDE, IngestCode.LINK_CYCLE})


@dataclass(frozen=True, eq=False)
class FoundFile:
    """A file of the source.

    Attributes:
        path: where it lies.
        relative: path below the source, with forward slashes; what reports name.
        digest: XXH3 (128 bits) of its bytes: what tells files apart here. Not cryptographic: it meets no adversary, and equal files are
            compared byte by byte where it matters.
        header: everything before the pixel data, or None.
        code: why there is no usable header.
        evidence: what was met, without identifiers.
        pixels: where its pixel data lie, or None.
        notes: oddities of the encoding that change no value.
    """

    path: Path
    relative: str
    digest: str
    header: Dataset | None
    code: IngestCode | None = None
    evidence: str = ""
    pixels: PixelPlace | None = None
    notes: tuple[IngestCode, ...] = field(default=())

    @property
    def readable(self) -> bool:
        """Return whether there are bytes of it that may be read."""
        try:
            return self.code not in UNREAD and self.path.is_file() and os.access(self.path, os.R_OK)
        except OSError:
            return False

    @property
    def sha256(self) -> str:
        """Return the sha256 of the file's bytes, read again: only what is quarantined or kept as a source needs it.

        Of what has no bytes, that of its name: each has a place of its own in the quarantine.
        """
        return _sha256(self.path) if self.readable else hashlib.sha256(f"unread: {self.relative}".encode()).hexdigest()


@contextmanager
def quiet_dicom() -> Iterator[None]:
    """Silence pydicom's warnings about odd values: what matters becomes a code, and texts may hold identifiers."""
    logger, before = logging.getLogger("pydicom"), config.settings.reading_validation_mode
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    config.settings.reading_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        config.settings.reading_validation_mode = before


def discover(
    source: Path, scratch: Path, *, without: tuple[Path, ...] = (), follow: bool = False, progress: bool = False
) -> tuple[FoundFile, ...]:
    """Return every file below a folder (or the one file), sorted by relative path; members of archives follow their archive. What may not
    be read, and links that are not followed, are found too, under their code.

    Args:
        source: folder, file, archive, or a DICOMDIR (then its folder is meant).
        scratch: folder for what archives hold; the caller removes it.
        without: folders that are left out: what is written must not be read again where it lies inside the source.
        follow: read what links lead to outside of the source.
        progress: show a progress bar.

    Raises:
        SourceError: ``SOURCE_MISSING``. An empty folder is not an error: nothing was found in it.
    """
    if not source.exists():
        raise SourceError("SOURCE_MISSING", f"expected a DICOM folder or file at {source}, there is nothing")
    if source.name.upper() == "DICOMDIR" and source.is_file():
        source = source.parent
    root = source if source.is_dir() else source.parent
    entries = _walk(root, tuple(folder.resolve() for folder in without), follow=follow) if source.is_dir() else [_Entry(source)]
    places: list[tuple[Path, str]] = []
    known: dict[str, FoundFile] = {}
    called: set[str] = set()
    archives = _Archives(scratch)
    above = len(str(root / "x")) - 1
    for entry in entries:
        relative = _unique(readable_name(str(entry.path)[above:] + ("/" if entry.folder else "")), called)
        places.append((entry.path, relative))
        if entry.code is not None:
            known[relative] = FoundFile(entry.path, relative, "", None, entry.code, entry.evidence)
        elif is_archive(entry.path):
            for path, name, found in archives.open(entry.path, relative):
                inside = relative if name == relative else _unique(name, called)
                if path != entry.path:
                    places.append((path, inside))
                if found is not None:
                    known[inside] = replace(found, relative=inside)
    with quiet_dicom():
        pairs = zip(places, _fetch_all([None if name in known else path for path, name in places]), strict=True)
        read = (known.get(place[1]) or _parse(*place, fetch) for place, fetch in pairs)
        return tuple(progress_bar(read, title="headers", unit="file", enabled=progress, total=len(places)))


@dataclass(frozen=True)
class _Entry:
    """A file below the source; or a folder or link that is not read, with the code that says why."""

    path: Path
    code: IngestCode | None = None
    evidence: str = ""
    folder: bool = False


def _walk(root: Path, without: tuple[Path, ...], *, follow: bool) -> list[_Entry]:
    """Return every file below a folder, sorted, and what is not read."""
    whole = Path(os.path.realpath(root))
    found: list[_Entry] = []
    followed: set[Path] = set()
    waiting: list[tuple[Path, Path]] = [(root, whole)]
    while waiting:
        folder, real = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            found.append(_Entry(folder, IngestCode.FILE_UNREADABLE, error.strerror or type(error).__name__, folder=True))
            continue
        for entry in entries:
            path = folder / entry.name
            if entry.name == MARKER:  # our own mark on a folder is no file of the source
                continue
            if not entry.is_symlink():
                if not entry.is_dir(follow_symlinks=False):
                    found.append(_Entry(path))
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
                    followed.add(target)
                    waiting.append((path, target))
                else:
                    found.append(_Entry(path))
                continue
            found.append(link)
    return sorted(found, key=lambda entry: entry.path)


def _judge_link(path: Path, real: Path, whole: Path, without: tuple[Path, ...]) -> tuple[_Entry, Path | None]:
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
            return _Entry(path, IngestCode.LINK_CYCLE, "a link to itself"), None
        if isinstance(error, PermissionError):
            return _Entry(path, IngestCode.FILE_UNREADABLE, error.strerror or "PermissionError"), None
        return _Entry(path), None  # to nothing: whoever reads it says so
    if is_folder and (target == real or target in real.parents):
        return _Entry(path, IngestCode.LINK_CYCLE, "a link to a folder that it lies in"), target
    if any(target == left_out or left_out in target.parents for left_out in without):
        return _Entry(path, IngestCode.LINK_CYCLE, "a link to where results are written"), target
    inside = whole in target.parents or target == whole
    if not inside:
        return _Entry(path, IngestCode.LINK_OUTSIDE, "a link to a folder" if is_folder else "a link to a file"), target
    return (_Entry(path, IngestCode.LINK_INSIDE, "a link to a folder of the source") if is_folder else _Entry(path)), target


def readable_name(name: str) -> str:
    """Return a name as text that can be written anywhere: bytes that are no UTF-8 as ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


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
        budget = Budget(path.stat().st_size)
        yield from self._open(path, relative, budget, 1)

    def _open(self, path: Path, relative: str, budget: Budget, depth: int) -> Iterator[tuple[Path, str, FoundFile | None]]:
        digest = _fetch(path)[0]
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


def _fetch_all(paths: list[Path | None]) -> Iterator[_Fetched]:
    """Yield what is read of each file, in order (nothing of None); in threads as soon as reading means waiting (a disc, a network).

    Files in the machine's memory are read here: handing them between threads costs more than reading them.
    """
    started = time.perf_counter()
    for done, path in enumerate(paths):
        if done and (time.perf_counter() - started) / done > _WAITING_SECONDS:
            with ThreadPoolExecutor(_THREADS) as pool:
                # A few files ahead of whoever parses them: a cohort does not fit into memory.
                ahead: deque[Future[_Fetched]] = deque()
                for later in paths[done:]:
                    ahead.append(pool.submit(_fetch, later))
                    if len(ahead) >= _AHEAD:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            return
        fetched = _fetch(path)
        # Only reading counts, not what the caller does with it.
        paused = time.perf_counter()
        yield fetched
        started += time.perf_counter() - paused


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_file(path: Path, relative: str) -> FoundFile:
    """Read the header of one file; whatever is wrong with it becomes its code."""
    return _parse(path, relative, _fetch(path))


def _fetch(path: Path | None) -> _Fetched:
    if path is None:
        return "", b"", 0, "not read"
    try:
        try:
            status = path.stat()
        except FileNotFoundError:
            return "", b"", 0, "a link to nothing, or no regular file"
        if not stat.S_ISREG(status.st_mode):
            return "", b"", 0, "a link to nothing, or no regular file"
        size = status.st_size
        if size <= _AT_ONCE:
            with path.open("rb", buffering=0) as plain:
                payload = plain.readall()
            # Of a large image the header and the end are enough, and memory is not.
            return xxhash.xxh3_128_hexdigest(payload), payload[:_HEADER_BYTES], len(payload), ""
        digest = xxhash.xxh3_128()
        with path.open("rb") as stream:
            while chunk := stream.read(2**20):
                digest.update(chunk)
        return digest.hexdigest(), b"", size, ""
    except OSError as error:
        return "", b"", 0, error.strerror or type(error).__name__


def _parse(path: Path, relative: str, fetched: _Fetched | None) -> FoundFile:
    digest, start, size, problem = fetched or _fetch(path)
    if problem:
        code = IngestCode.NOT_DICOM if problem.startswith("a link") else IngestCode.FILE_UNREADABLE
        return FoundFile(path, relative, digest, None, code, problem)
    if len(start) == size:
        return _read(path, relative, digest, io.BytesIO(start), size)
    if start:
        found = _read(path, relative, digest, io.BytesIO(start), size)
        place = found.pixels
        # Whole headers end where their pixels begin; everything else is read from the file.
        if found.code is None and place is not None and place.offset is not None and place.offset < len(start):
            return found
    try:
        with path.open("rb") as stream:
            return _read(path, relative, digest, stream, size)
    except OSError as error:
        return FoundFile(path, relative, digest, None, IngestCode.FILE_UNREADABLE, error.strerror or type(error).__name__)


def _read(path: Path, relative: str, digest: str, stream: BinaryIO, size: int) -> FoundFile:
    name = relative.rpartition("/")[2].upper()
    found = FoundFile(path, relative, digest, None)
    if name == "DICOMDIR":
        return replace(found, code=IngestCode.DICOMDIR_SKIPPED, evidence=_directory(stream, path))
    try:
        header = plain_header(stream) or dcmread(stream, stop_before_pixels=True)
        if not header:
            return replace(found, code=IngestCode.UNREADABLE_HEADER, evidence="no element behind the file header")
        notes = (IngestCode.BAD_VR,) if _unknown_vrs(header) else ()
        return replace(found, header=header, pixels=_pixel_place(stream, header, size, path), notes=notes)
    except InvalidDicomError:
        return _without_meta(found, stream, size)
    except Exception as error:  # any header can be broken in any way; the file is kept and its class of error named
        return replace(found, code=IngestCode.UNREADABLE_HEADER, evidence=type(error).__name__)


#: A file that begins with so many zero bytes holds no dataset; a preamble has 128.
_BLANK = 4096


def _without_meta(found: FoundFile, stream: BinaryIO, size: int) -> FoundFile:
    """Read a dataset that begins without file header: kept beside its code, for a policy that repairs."""
    try:
        stream.seek(0)
        # Zeros parse as element after element of tag (0000,0000): a sparse file of a quarter of a gigabyte would take minutes.
        head = stream.read(_BLANK)
        if head and not any(head):
            return replace(found, code=IngestCode.NOT_DICOM, evidence="it begins with zeros only")
        stream.seek(0)
        header = dcmread(stream, stop_before_pixels=True, force=True)
        if any(keyword in header for keyword in ("SOPClassUID", "SOPInstanceUID", "Rows", "StudyInstanceUID", "PatientID")):
            place = _pixel_place(stream, header, size, found.path)
            return replace(found, header=header, code=IngestCode.MISSING_META, evidence="no DICM prefix behind the preamble", pixels=place)
    except Exception:  # not DICOM in any reading
        return replace(found, code=IngestCode.NOT_DICOM, evidence="no DICM prefix behind the preamble")
    return replace(found, code=IngestCode.NOT_DICOM, evidence="no DICM prefix behind the preamble")


def _unknown_vrs(header: Dataset) -> bool:
    """Return whether an attribute that the dictionary knows is written as UN. Values are not touched: they are parsed when asked for."""
    return any(element.VR == "UN" and not element.tag.group % 2 and dictionary_has_tag(element.tag) for element in header.values())


def transfer_syntax(header: Dataset) -> UID:
    """Return the transfer syntax of a dataset; where no file header states it, the uncompressed one it was read with."""
    meta = getattr(header, "file_meta", None)
    if meta is not None:
        known = known_syntax(meta.get_item(TRANSFER_SYNTAX))
        if known is not None:
            return known
        stated = meta.get("TransferSyntaxUID")
        if stated:
            return UID(str(stated))
    implicit, little = header.original_encoding
    if implicit:
        return UID("1.2.840.10008.1.2")
    return UID("1.2.840.10008.1.2.1" if little is not False else "1.2.840.10008.1.2.2")


def _pixel_place(stream: BinaryIO, header: Dataset, size: int, path: Path) -> PixelPlace | None:
    """Find the pixel data behind the header that was just read from the stream, and whether they are all there.

    Args:
        stream: at the end of the header; the file, or its first bytes.
        header: of the object.
        size: of the file in bytes.
        path: of the file, for what lies behind its first bytes.
    """
    syntax = transfer_syntax(header)
    if syntax.is_deflated:
        return PixelPlace(None, None)
    order = "<" if syntax.is_little_endian else ">"
    begin = stream.tell()
    start = stream.read(12)
    if len(start) < 8:
        return None
    group, element = struct.unpack(f"{order}HH", start[:4])
    if (group << 16 | element) not in PIXEL_DATA:
        return None
    explicit = start[4:6] in (b"OB", b"OW", b"OF", b"OD", b"UN")
    if explicit and len(start) < 12:
        return PixelPlace(begin, 0, whole=False)
    length = struct.unpack(f"{order}I", start[8:12] if explicit else start[4:8])[0]
    offset = begin + (12 if explicit else 8)
    if length != _UNDEFINED:
        return PixelPlace(offset, min(length, size - offset), whole=offset + length <= size)
    if not isinstance(stream, io.BytesIO) or stream.getbuffer().nbytes == size:
        return PixelPlace(offset, None, whole=_items_whole(stream, offset, size))
    with path.open("rb", buffering=0) as file:  # lengths lie far apart: nothing is read ahead
        return PixelPlace(offset, None, whole=_items_whole(file, offset, size))


def _items_whole(stream: BinaryIO, offset: int, size: int) -> bool:
    """Walk the items of encapsulated pixel data: each must end inside the file. A missing last delimiter is forgiven."""
    while offset + 8 <= size:
        stream.seek(offset)
        group, element, length = struct.unpack("<HHI", stream.read(8))
        tag = group << 16 | element
        if tag == _DELIMITER:
            return True
        if tag != _ITEM or length == _UNDEFINED:
            return False
        offset += 8 + length
    return offset == size


def _directory(stream: BinaryIO, path: Path) -> str:
    """Say how many of the files that a DICOMDIR lists are there; file ids hold no identifiers."""
    try:
        records = dcmread(stream).get("DirectoryRecordSequence") or []
        listed = [record.ReferencedFileID for record in records if record.get("ReferencedFileID")]
        parts = [[item] if isinstance(item, str) else list(item) for item in listed]
        missing = ["/".join(item) for item in parts if not path.parent.joinpath(*item).is_file()]
    except Exception as error:  # a broken directory changes nothing: files are found by walking
        return f"a directory that cannot be read ({type(error).__name__})"
    return f"lists {len(parts)} files, {len(missing)} of them missing" + (f", the first {missing[0]}" if missing else "")
