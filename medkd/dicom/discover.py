"""Find every file of a source and read its header; nothing is judged here but whether it is DICOM at all."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, config, dcmread
from pydicom.errors import InvalidDicomError

from data_contracts import IngestCode, SourceError
from medkd.volumes.store import sha256_file

_THREADS = 4


@dataclass(frozen=True)
class FoundFile:
    """A file of the source.

    Attributes:
        path: where it lies.
        relative: path below the source, with forward slashes; what reports name.
        sha256: of its bytes.
        header: everything before the pixel data, or None.
        code: why there is no usable header.
        evidence: what was met, without identifiers.
    """

    path: Path
    relative: str
    sha256: str
    header: Dataset | None
    code: IngestCode | None = None
    evidence: str = ""


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


def discover(source: Path) -> tuple[FoundFile, ...]:
    """Return every file below a folder (or the one file), sorted by relative path.

    Raises:
        SourceError: ``SOURCE_MISSING``. An empty folder is not an error: nothing was found in it.
    """
    if not source.exists():
        raise SourceError("SOURCE_MISSING", f"expected a DICOM folder or file at {source}, there is nothing")
    root = source if source.is_dir() else source.parent
    paths = sorted(Path(folder) / name for folder, _, names in os.walk(root) for name in names) if source.is_dir() else [source]
    with quiet_dicom(), ThreadPoolExecutor(_THREADS) as pool:
        return tuple(pool.map(lambda path: _read(path, path.relative_to(root).as_posix()), paths))


def _read(path: Path, relative: str) -> FoundFile:
    digest = sha256_file(path)
    if path.name.upper() == "DICOMDIR":
        return FoundFile(path, relative, digest, None, IngestCode.DICOMDIR_SKIPPED, "a directory of files, not an image")
    try:
        return FoundFile(path, relative, digest, dcmread(path, stop_before_pixels=True))
    except InvalidDicomError:
        code = IngestCode.MISSING_META if _reads_by_force(path) else IngestCode.NOT_DICOM
        return FoundFile(path, relative, digest, None, code, "no DICM prefix behind the preamble")
    except Exception as error:  # any header can be broken in any way; the file is kept and its class of error named
        return FoundFile(path, relative, digest, None, IngestCode.UNREADABLE_HEADER, type(error).__name__)


def _reads_by_force(path: Path) -> bool:
    """Return whether the bytes parse as a DICOM dataset without its file header."""
    try:
        dataset = dcmread(path, stop_before_pixels=True, force=True)
        return any(keyword in dataset for keyword in ("SOPClassUID", "SOPInstanceUID", "Rows", "StudyInstanceUID", "PatientID"))
    except Exception:  # not DICOM in any reading
        return False
