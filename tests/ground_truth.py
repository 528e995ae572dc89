"""A mark planted wherever a name may stand, and a search that opens whatever is an archive: what the tests of confidentiality share."""

from __future__ import annotations

import gzip
import io
import sqlite3
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
from PIL import Image
from pypdf import PdfReader

CANARY = "QUIXOTEPLANT"
#: Folders that hold originals and tables of their names, by design.
CONFIDENTIAL = "quarantine"


def plant(source: Path, out: Path, zipped: str | None = None) -> Path:
    """Write DICOM again with the mark in texts of every object, in names of folders and files; one study also goes into an archive.

    Args:
        source: folder of studies.
        out: folder to write to.
        zipped: name of the study that is packed, its members named after the mark too.
    """
    for number, path in enumerate(sorted(path for path in source.rglob("*.dcm"))):
        dataset = pydicom.dcmread(path)
        _mark(dataset)
        study = path.relative_to(source).parts[0]
        target = out / f"{CANARY}_{study}" / f"{CANARY}^DON" / f"{CANARY}{number:04d}.dcm"
        if study == zipped:
            buffer = io.BytesIO()
            dataset.save_as(buffer)
            out.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(out / f"{CANARY}_{study}.zip", "a") as archive:
                archive.writestr(f"{CANARY}_inner/{CANARY}{number:04d}.dcm", buffer.getvalue())
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            dataset.save_as(target)
    return out


def _mark(dataset: pydicom.Dataset) -> None:
    dataset.PatientName = f"{CANARY}^DON"
    for keyword in ("StudyDescription", "SeriesDescription", "PatientComments", "ImageComments", "InstitutionName", "ProtocolName"):
        setattr(dataset, keyword, f"{CANARY} chest")
    for keyword in ("StationName", "StudyID", "AccessionNumber", "BodyPartExamined", "SequenceName", "ConvolutionKernel"):
        setattr(dataset, keyword, CANARY)
    dataset.OperatorsName = dataset.ReferringPhysicianName = f"Dr^{CANARY}"
    dataset.ImageType = [*list(dataset.get("ImageType", ["ORIGINAL", "PRIMARY"])), CANARY]
    for segment in dataset.get("SegmentSequence") or []:
        segment.SegmentLabel = f"{CANARY} lesion"
        segment.TrackingID = f"{CANARY}-1"
        for item in (*segment.SegmentedPropertyCategoryCodeSequence, *segment.SegmentedPropertyTypeCodeSequence):
            item.CodeMeaning, item.CodeValue, item.CodingSchemeDesignator = f"Lesion of {CANARY}", CANARY, f"99{CANARY[:8]}"
    if "SegmentSequence" in dataset:
        dataset.ContentLabel = dataset.ContentDescription = CANARY


def places_of(word: str, *folders: Path) -> list[str]:
    """Return where a word is, in any case, outside of quarantines: names of files, bytes of files, and of whatever they hold."""
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            parts = path.relative_to(folder).parts
            if CONFIDENTIAL in parts:
                continue
            if word.lower() in str(path.relative_to(folder)).lower():
                found.append(f"{path} (its name)")
            if path.is_file():
                found += [f"{path}{inner}" for inner, payload in _opened(path.read_bytes(), path) if _holds(payload, word)]
    return found


def _holds(payload: bytes, word: str) -> bool:
    lowered = payload.lower()
    return any(word.lower().encode(encoding) in lowered for encoding in ("utf-8", "utf-16-le"))


def _opened(payload: bytes, path: Path | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield a file's bytes, and those of members of archives, packed files, texts of pictures, rows of databases."""
    yield "", payload
    if payload[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            for name in archive.namelist():
                yield f"!{name}", name.encode()
                yield from ((f"!{name}{inner}", own) for inner, own in _opened(archive.read(name)))
    elif payload[:2] == b"\x1f\x8b":
        yield from ((f"!gz{inner}", own) for inner, own in _opened(gzip.decompress(payload)))
    elif payload[:8] == b"\x89PNG\r\n\x1a\n":
        with Image.open(io.BytesIO(payload)) as picture:
            picture.load()
            yield "!text", repr(picture.info).encode()
    elif payload[:5] == b"%PDF-":
        # Text of a page is drawn by numbers of glyphs, and metadata may be packed: a reader is asked for both.
        document = PdfReader(io.BytesIO(payload))
        yield "!metadata", repr([document.metadata, document.xmp_metadata and document.xmp_metadata.stream.get_data()]).encode()
        yield from ((f"!page {number}", page.extract_text().encode()) for number, page in enumerate(document.pages, 1))
        yield from (
            (f"!{name}{inner}", own) for name, files in document.attachments.items() for file in files for inner, own in _opened(file)
        )
    elif payload[:15] == b"SQLite format 3" and path is not None:
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        yield "!rows", "\n".join(database.iterdump()).encode()
        database.close()


def open_to_others(*folders: Path) -> list[str]:
    """Return what others may read, write or enter."""
    every = [path for folder in folders for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    return [f"{path} {stat.S_IMODE(path.stat().st_mode):o}" for path in every if stat.S_IMODE(path.stat().st_mode) & 0o077]
