"""A source is ingested in shards of whole folders; what one shard cannot know of another is found by comparing the names of their files.

Whether a file contradicts, repeats or completes another one is decided among files that share their bytes, their instance or their series. Files
that are bound to one another so, over any number of steps, are a *component*, and a component that lies in several shards is ingested again as one.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from medkd.dicom.discover import Listed
from medkd.dicom.found_file import FoundFile
from medkd.dicom.labels.references import INSTANCE, SERIES
from medkd.dicom.raw_values import raw_text

#: A shard of a fan-out ends with this many files or bytes: a second of work and more.
SHARD_FILES, SHARD_BYTES = 1000, 512 * 2**20
Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Shard:
    """Files that are ingested together.

    Attributes:
        files: in the order of the source.
        whole: False of a part of a large folder, whose neighbours may belong to its series: only the names of its files are read.
    """

    files: tuple[Listed, ...]
    whole: bool = True


def plan_shards(
    listed: Sequence[Listed], *, most_files: int = SHARD_FILES, most_bytes: int = SHARD_BYTES, split: bool = True
) -> list[Shard]:
    """Return shards of whole folders; a folder that is larger than two shards is parted where ``split`` allows it.

    Args:
        listed: files of the source.
        most_files: of a shard.
        most_bytes: of a shard.
        split: whether folders may be parted.
    """
    folders: dict[Path, list[Listed]] = defaultdict(list)
    for one in listed:
        folders[one.path.parent].append(one)
    small: list[list[Listed]] = []
    shards: list[Shard] = []
    for files in folders.values():
        if split and len(files) > 1 and (len(files) > 2 * most_files or sum(map(_bytes, files)) > 2 * most_bytes):
            shards += [Shard(part, whole=False) for part in _packed([[one] for one in files], most_files, most_bytes)]
        else:
            small.append(files)
    return shards + [Shard(part) for part in _packed(small, most_files, most_bytes)]


def shards_of_components(components: Iterable[Sequence[Listed]]) -> list[Shard]:
    """Return shards that hold whole components."""
    return [Shard(part) for part in _packed([list(one) for one in components], SHARD_FILES, SHARD_BYTES)]


def is_large(source: Path) -> bool:
    """Return whether a source is more than a shard; of an archive its own size counts."""
    files = total = 0
    if not source.is_dir():
        return source.is_file() and source.stat().st_size > SHARD_BYTES
    for folder, _, names in os.walk(source):
        files += len(names)
        total += sum(_size(os.path.join(folder, name)) for name in names)
        if files > SHARD_FILES or total > SHARD_BYTES:
            return True
    return False


def file_keys(found: Sequence[FoundFile]) -> Keys:
    """Return hashes of what binds files to one another, [file, 3]: their bytes, their instance, their series."""
    return np.array([_keys_of(file) for file in found], dtype=np.uint64).reshape(-1, 3)


def _keys_of(file: FoundFile) -> tuple[int, int, int]:
    alone = f"file {file.relative}"  # what has no bytes or no name is bound to nothing
    digest = hashed(f"bytes {file.digest}") if file.digest else hashed(alone)
    if file.header is None:
        return digest, digest, digest
    instance, series = raw_text(file.header, INSTANCE), raw_text(file.header, SERIES)
    # Slices whose series has no name may form a volume: the empty name is one like others.
    return digest, hashed(f"uid {instance}") if instance else hashed(alone), hashed(f"uid {series}")


def hashed(text: str) -> int:
    """Return a hash of 64 bits: two names that share one by chance are only compared once more."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "backslashreplace"))


class NamedInstances:
    """The instances and series of all objects that were found, whatever became of them: ``uid in named``.

    Args:
        keys: of all files, as :func:`file_keys`.
    """

    def __init__(self, keys: Keys) -> None:
        self._known = np.unique(keys[:, 1:])

    def __contains__(self, uid: object) -> bool:
        """Return whether an instance or a series of this name was found."""
        wanted = np.uint64(hashed(f"uid {uid}"))
        place = int(np.searchsorted(self._known, wanted))
        return place < len(self._known) and bool(self._known[place] == wanted)


def spread_components(keys: Sequence[Keys], whole: Sequence[bool]) -> list[NDArray[np.int64]]:
    """Return the components that are not ingested yet or wrongly: those in several shards, and those of shards that are parts of a folder.

    Args:
        keys: of the files of each shard.
        whole: whether each shard was ingested.

    Returns:
        Of each component its files, counted through all shards, rising; components in the order of their first file.
    """
    owner = np.repeat(np.arange(len(keys)), [len(one) for one in keys])
    values, places = np.unique(np.concatenate(keys), return_inverse=True)
    places = places.reshape(-1, 3)
    # A key in one shard only is no reason to look at its files, unless something else of their component is.
    first = np.full(len(values), len(keys), dtype=np.int64)
    last = np.full(len(values), -1, dtype=np.int64)
    for column in places.T:
        np.minimum.at(first, column, owner)
        np.maximum.at(last, column, owner)
    reached = (first != last) | ~np.asarray(whole)[np.minimum(first, len(keys) - 1)]
    while True:
        files = reached[places].any(axis=1)
        wider = reached.copy()
        wider[places[files].ravel()] = True
        if (wider == reached).all():
            break
        reached = wider
    return list(_components(np.flatnonzero(files), places))


def _components(files: NDArray[np.int64], places: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the components of some files (union-find over their keys)."""
    parent: dict[int, int] = {}

    def root(key: int) -> int:
        while parent.setdefault(key, key) != key:
            parent[key] = key = parent[parent[key]]
        return key

    for file in files:
        first, *others = (root(int(key)) for key in places[file])
        for other in others:
            parent[root(other)] = root(first)
    members: dict[int, list[int]] = defaultdict(list)
    for file in files:
        members[root(int(places[file][0]))].append(int(file))
    yield from (np.array(one) for one in members.values())


def _packed(units: Sequence[list[Listed]], most_files: int, most_bytes: int) -> Iterator[tuple[Listed, ...]]:
    """Yield units that follow one another together until there are enough of them."""
    part: list[Listed] = []
    size = 0
    for unit in units:
        part += unit
        size += sum(map(_bytes, unit))
        if len(part) >= most_files or size >= most_bytes:
            yield tuple(part)
            part, size = [], 0
    if part:
        yield tuple(part)


def _bytes(listed: Listed) -> int:
    return 0 if listed.known is not None else _size(listed.path)


def _size(path: str | Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
