"""The files of a source: a folder, a zip, or one file of weights; what is read of it is hashed."""

from __future__ import annotations

import json
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from data_contracts import SourceError
from medkd.storage.store import sha256_file
from medkd.yaml_text import YamlRefused, read_yaml

#: Bytes that a source may unpack to; files of nnU-Net have hundreds of megabytes a fold.
_MOST_BYTES = 16 * 2**30
_MOST_TEXT = 64 * 2**20


@dataclass(frozen=True)
class SourceFiles:
    """A folder that is read, and the digests of what was read of it.

    Attributes:
        root: folder.
        name: of the source, as it was given.
        read: sha256 of each file that was read, by its place.
    """

    root: Path
    name: str
    read: dict[str, str] = field(default_factory=dict)

    def below(self, folder: Path) -> SourceFiles:
        """Return a folder within, with the same digests."""
        return SourceFiles(folder, self.name, self.read)

    def path(self, place: str) -> Path:
        """Return a file of the source; its digest is kept.

        Raises:
            SourceError: ``SOURCE_INCOMPLETE`` where it is not there.
        """
        path = self.root / place
        if not path.is_file() or path.is_symlink():
            raise SourceError(
                "SOURCE_INCOMPLETE", f"expected {place} in {self.name}, it is not there; name the whole folder as it was written"
            )
        self.read[place] = sha256_file(path)
        return path

    def fields(self, place: str) -> dict[str, Any]:
        """Return the mapping in a JSON or YAML file.

        Raises:
            SourceError: ``SOURCE_INCOMPLETE``, ``SOURCE_UNREADABLE``.
        """
        path = self.path(place)
        try:
            if path.suffix == ".json":
                if path.stat().st_size > _MOST_TEXT:
                    raise ValueError(f"{path.stat().st_size >> 20} MiB of text")
                found = json.loads(path.read_text(encoding="utf-8"))
            else:
                found = read_yaml(path)
        except (ValueError, RecursionError, YamlRefused) as error:
            raise SourceError("SOURCE_UNREADABLE", f"expected {place} of {self.name} to be read, got {str(error)[:120]}") from error
        if not isinstance(found, dict):
            raise SourceError("SOURCE_UNREADABLE", f"expected a mapping in {place} of {self.name}, got {type(found).__name__}")
        return found


@contextmanager
def open_source(source: Path) -> Iterator[SourceFiles]:
    """Give the files of a folder or zip (unpacked for as long as this lasts); of a single file the folder that holds it alone.

    Raises:
        SourceError: ``SOURCE_MISSING``, ``SOURCE_UNREADABLE``, or ``SOURCE_UNSAFE`` for a zip that would leave its folder or fill the disk.
    """
    if source.is_dir():
        yield SourceFiles(source, source.name)
    elif not source.is_file():
        raise SourceError(
            "SOURCE_MISSING", f"expected a teacher at {source}: a bundle, an nnU-Net folder or a file of weights; there is none"
        )
    elif source.suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
            _unpack(source, Path(scratch))
            yield SourceFiles(Path(scratch), source.name)
    else:
        yield SourceFiles(source.parent, source.name)


def _unpack(source: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            for info in members:
                name = PurePosixPath(info.filename)
                if name.is_absolute() or ".." in name.parts or "\\" in info.filename or stat.S_ISLNK(info.external_attr >> 16):
                    raise SourceError("SOURCE_UNSAFE", f"expected files inside {source.name}, got {info.filename[:80]!r}; do not import it")
            total = sum(info.file_size for info in members)
            if total > min(_MOST_BYTES, shutil.disk_usage(folder).free // 2):
                raise SourceError("SOURCE_UNSAFE", f"expected a source that fits the disk, {source.name} would unpack to {total >> 20} MiB")
            for info in members:
                archive.extract(info, folder)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:  # RuntimeError: behind a password
        raise SourceError("SOURCE_UNREADABLE", f"expected a zip at {source.name}, it cannot be read ({error})") from error
