"""Folders by URI: one that medkd left in a store is taken from there with every byte verified, any other is copied file by file.

What is read lies in a mirror in the user's cache folder: a second reading brings only what changed. A folder that several machines write to is
written by one of them at a time: whoever comes second is refused and begins again from what is there then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_contracts import ManifestEntry, ModelManifest, SourceError, StoreError, read_record
from data_contracts.record import PARTIAL
from medkd.storage.empty_database import cache_folder
from medkd.storage.objects import ObjectStore, open_objects
from medkd.storage.remote import checked_uri, is_uri
from medkd.storage.run_lock import locked
from medkd.storage.store import sha256_file, write_bytes

#: Record of a store that lists the files of the folder that was left there.
FOLDER = "folder.json"
#: What stays on the machine that made it: originals of refused files, and who is who.
CONFIDENTIAL = ("quarantine",)
#: Seconds that a process waits for another one that fills the same mirror.
WAIT_S = 3600.0


def mirror_of(uri: str) -> Path:
    """Return where a folder of a URI lies on this machine; its last name is that of the URI."""
    uri = checked_uri(uri)
    return cache_folder() / "mirrors" / hashlib.sha256(uri.encode()).hexdigest()[:16] / uri.rpartition("/")[2]


def bring_folder(uri: str) -> Path:
    """Return a folder of a URI on this machine, brought up to date.

    Raises:
        SourceError: ``SOURCE_MISSING`` where nothing lies there.
        StoreError: ``STORE_OBJECT_ALTERED``, ``STORE_UNREACHABLE``, ``STORE_DENIED``, ``STORE_URI``.
    """
    target, objects = mirror_of(uri), open_objects(checked_uri(uri))
    with locked(target.parent / ".lock", wait_s=WAIT_S):
        listed = left_in(objects)
        if listed is None:
            _copy(objects, target)
        else:
            _take(objects, listed, target)
    return target


def left_in(objects: ObjectStore) -> ModelManifest | None:
    """Return what a folder in a store holds, None where medkd left none."""
    payload = objects.read_record(FOLDER)
    return None if payload is None else read_record(payload, ModelManifest)


def leave_folder(folder: Path, uri: str, before: ModelManifest | None) -> ModelManifest:
    """Leave a folder in a store, its list of files last; locks, temporary files and ``quarantine`` stay here.

    Args:
        folder: on this machine.
        uri: of the store.
        before: what lay there when this machine began; None: nothing.

    Raises:
        StoreError: ``STORE_CHANGED`` when another machine left something since then; ``STORE_UNREACHABLE``.
    """
    objects = open_objects(checked_uri(uri))
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts) or name.parts[0] in CONFIDENTIAL or path.name.endswith(PARTIAL)
        if path.is_file() and not hidden:
            files[name.as_posix()] = ManifestEntry(sha256=sha256_file(path), bytes=path.stat().st_size)
    for key, entry in files.items():
        objects.put(folder / key, entry.sha256)
    manifest = ModelManifest(files=files)
    if left_in(objects) != before:
        raise StoreError("STORE_CHANGED", f"expected {uri} as it was at the start, another machine wrote to it since then; run again")
    objects.write_record(FOLDER, manifest.canonical_json())
    return manifest


@contextmanager
def folder_to_extend(place: str, *, keep: bool = True) -> Iterator[Path]:
    """Yield a folder to write to: the one that is named, or of a URI its mirror, which is left there in the end.

    Args:
        place: a folder or a URI.
        keep: whether anything is left.

    Raises:
        StoreError: as :func:`bring_folder` and :func:`leave_folder`.
    """
    if not is_uri(place):
        yield Path(place)
        return
    objects = open_objects(checked_uri(place))
    objects.remote.require()
    before = left_in(objects)
    yield mirror_of(place) if before is None else bring_folder(place)
    if keep:
        leave_folder(mirror_of(place), place, before)


def _take(objects: ObjectStore, listed: ModelManifest, target: Path) -> None:
    for name, entry in listed.files.items():
        path = target / name
        if path.is_file() and sha256_file(path) == entry.sha256:
            continue
        if not objects.take(entry.sha256, path):
            raise StoreError("STORE_MISSING", f"expected {name} in {objects.remote.uri}, its bytes are gone; leave the folder there again")
    for path in list(target.rglob("*")):
        own = path.relative_to(target)
        is_ours = own.parts[0] in CONFIDENTIAL or own.parts[0].startswith(".")
        if path.is_file() and not is_ours and own.as_posix() not in listed.files:
            path.unlink()


def _copy(objects: ObjectStore, target: Path) -> None:
    """Bring files that somebody else put there; without digests, size and time of change say what is new."""
    index = target.parent / "index.json"
    found = objects.remote.files()
    if not found:
        raise SourceError("SOURCE_MISSING", f"expected files below {objects.remote.uri}, there are none; look at how it is written")
    known = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else {}
    for key, stamp in found.items():
        if known.get(key) != list(stamp) or not (target / key).is_file():
            partial = target.parent / f"file{PARTIAL}"
            objects.remote.download(key, partial)
            (target / key).parent.mkdir(parents=True, exist_ok=True)
            partial.replace(target / key)
    for path in target.rglob("*"):
        if path.is_file() and path.relative_to(target).as_posix() not in found:
            path.unlink()
    write_bytes(index, json.dumps({key: list(stamp) for key, stamp in found.items()}).encode())
