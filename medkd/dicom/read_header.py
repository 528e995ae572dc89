"""Read the header of a file, or say in a code why it has none that can be used."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_has_tag
from pydicom.errors import InvalidDicomError

from data_contracts import IngestCode
from medkd.dicom.fetch_bytes import Fetched, fetch
from medkd.dicom.found_file import FoundFile
from medkd.dicom.pixel_place import find_pixels
from medkd.dicom.plain_header import plain_header

#: A file that begins with so many zero bytes holds no dataset; a preamble has 128.
_BLANK = 4096


def read_file(path: Path, relative: str) -> FoundFile:
    """Read the header of one file; whatever is wrong with it becomes its code."""
    return parse_header(path, relative, fetch(path))


def parse_header(path: Path, relative: str, fetched: Fetched) -> FoundFile:
    """Return a file with its header, or with the code that says why it has none.

    Args:
        path: of the file.
        relative: what reports call it.
        fetched: what was read of it.
    """
    digest, start, size, problem = fetched
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
    # It lists files and holds no image; what it lists is found by walking, whether it lists it rightly or not.
    if name == "DICOMDIR":
        return replace(found, code=IngestCode.DICOMDIR_SKIPPED, evidence=_directory(stream, path))
    try:
        # The plain reader gives up on whatever it does not expect, deflated datasets among it: pydicom reads those.
        header = plain_header(stream) or dcmread(stream, stop_before_pixels=True)
        if not header:
            return replace(found, code=IngestCode.UNREADABLE_HEADER, evidence="no element behind the file header")
        notes = (IngestCode.BAD_VR,) if _unknown_vrs(header) else ()
        return replace(found, header=header, pixels=find_pixels(stream, header, size, path), notes=notes)
    except InvalidDicomError:
        return _without_meta(found, stream, size)
    except Exception as error:  # any header can be broken in any way; the file is kept and its class of error named
        return replace(found, code=IngestCode.UNREADABLE_HEADER, evidence=type(error).__name__)


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
        # Almost any bytes parse as some elements: one that every object of interest has must be among them.
        if any(keyword in header for keyword in ("SOPClassUID", "SOPInstanceUID", "Rows", "StudyInstanceUID", "PatientID")):
            place = find_pixels(stream, header, size, found.path)
            return replace(found, header=header, code=IngestCode.MISSING_META, evidence="no DICM prefix behind the preamble", pixels=place)
    except Exception:  # not DICOM in any reading
        return replace(found, code=IngestCode.NOT_DICOM, evidence="no DICM prefix behind the preamble")
    return replace(found, code=IngestCode.NOT_DICOM, evidence="no DICM prefix behind the preamble")


def _unknown_vrs(header: Dataset) -> bool:
    """Return whether an attribute that the dictionary knows is written as UN. Values are not touched: they are parsed when asked for."""
    return any(element.VR == "UN" and not element.tag.group % 2 and dictionary_has_tag(element.tag) for element in header.values())


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
