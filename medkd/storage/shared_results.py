"""Results of stages and what they refer to, left for other machines and taken from them (``medkd.storage.objects``)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from data_contracts import Ref, VersionedRecord, read_record
from medkd.storage.references import references, references_in_json
from medkd.storage.store import Store, write_bytes
from medkd.storage.workspace import Workspace

_LOG = logging.getLogger("medkd")
R = TypeVar("R", bound=VersionedRecord)


def publish_result(workspace: Workspace, name: str, record: VersionedRecord) -> None:
    """Leave a stage's result, and before it every byte that it refers to, for other machines.

    Args:
        workspace: with shared objects.
        name: of the stage and its key.
        record: the result.

    Raises:
        StoreError: ``STORE_UNREACHABLE``, ``STORE_DENIED``.
    """
    objects = workspace.objects
    if objects is None or objects.has_record(f"stages/{name}.json"):
        return
    publish_references(workspace, record)
    objects.write_record(f"stages/{name}.json", record.canonical_json())


def take_result(workspace: Workspace, name: str, produces: type[R]) -> R | None:
    """Return the result that another machine left, None where none did, or where an object it refers to is gone.

    What it refers to is brought when it is read (:meth:`~medkd.storage.store.Store.path`).

    Raises:
        StoreError: ``STORE_OBJECT_ALTERED``, ``STORE_UNREACHABLE``.
    """
    objects = workspace.objects
    payload = None if objects is None else objects.read_record(f"stages/{name}.json")
    if objects is None or payload is None:
        return None
    record = read_record(payload, produces)
    gone = next((ref.key for ref in references(record) if ref.store == workspace.store.name and not objects.has(ref.sha256)), None)
    if gone is not None:
        _LOG.warning("stage result %s refers to %s, which the shared store lacks: the stage runs again", name, gone)
        return None
    return record


def publish_references(workspace: Workspace, *values: Any) -> None:
    """Leave the bytes that records of a run refer to for other machines: what the run's store holds of them."""
    if workspace.objects is not None:
        _publish(workspace.store, [ref for value in values for ref in references(value)])


def publish_store(store: Store, record: VersionedRecord) -> None:
    """Leave what a record refers to in another store of the run, as its ingested studies."""
    if store.objects is not None:
        _publish(store, references(record))


def leave_metrics(workspace: Workspace, weights_digest: str, journal: Path) -> None:
    """Leave the metrics of a training for the machine that registers its network; their times are measured, so that no record refers to them.

    Args:
        workspace: of the run.
        weights_digest: of the network.
        journal: ``metrics.jsonl`` of the training.
    """
    if workspace.objects is not None and journal.is_file():
        workspace.objects.write_record(f"metrics/{weights_digest}.jsonl", journal.read_bytes())


def bring_metrics(workspace: Workspace, weights_digest: str, journal: Path) -> None:
    """Bring the metrics of a training of another machine to where this one would have written them."""
    if workspace.objects is not None and not journal.is_file():
        payload = workspace.objects.read_record(f"metrics/{weights_digest}.jsonl")
        if payload is not None:
            write_bytes(journal, payload)


def _publish(store: Store, refs: Iterable[Ref]) -> None:
    objects = store.objects
    if objects is None:
        return
    for ref in refs:
        if ref.store != store.name or objects.has(ref.sha256):
            continue
        path = store.path(ref)
        if not path.is_file():
            continue  # never here: the machine that made it leaves it
        # What a record refers to goes first, so that whoever finds the record finds the rest.
        _publish(store, _within(path.read_bytes()) if path.suffix == ".json" else ())
        objects.put(path, ref.sha256)


def _within(payload: bytes) -> Iterator[Ref]:
    return references_in_json(json.loads(payload))
