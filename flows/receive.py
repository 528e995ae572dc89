"""What comes from senders is stored and, where a store is named, ingested, study by study, until somebody stops it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data_contracts import IngestError, IngestPolicy, SourceError
from flows.inbox import Inbox
from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret
from medkd.network.receive import Receiver
from medkd.storage.output import STORE, claim

#: Seconds between two looks at what came.
LOOK_S = 1.0
#: Seconds without a change after which a study that was handed over is read: what comes late is moved in one file at a time.
_SETTLE_S = 1.0


@dataclass(frozen=True)
class Reception:
    """What is done with what comes.

    Attributes:
        store: that whole studies are ingested into; None: they stay in the inbox, for whoever watches it.
        policy: of ingestion.
    """

    store: Path | None = None
    policy: IngestPolicy = field(default_factory=IngestPolicy)


@dataclass(frozen=True)
class ReceptionEvent:
    """Something that happened.

    Attributes:
        what: received (a study is whole and in the inbox), partial (it is not, and waits for its sender), ingested, refused.
        study: its identifier; of what was ingested, the name of its entry in the inbox.
        objects: of it; of what was ingested, the accepted ones.
        code: why it waits or was refused; empty otherwise.
        said: the same in a sentence.
    """

    what: Literal["received", "partial", "ingested", "refused"]
    study: str
    objects: int
    code: str = ""
    said: str = ""


def receive(receiver: Receiver, reception: Reception, heard: Callable[[ReceptionEvent], None], stop: threading.Event) -> None:
    """Hand over whole studies as they become so, and ingest them, until ``stop`` is set.

    What was handed over before a process was killed, and not ingested, is ingested by the next one.

    Args:
        receiver: that is listening.
        reception: what is done with what comes.
        heard: is called with what happened.
        stop: ends it.

    Raises:
        OutputError: when the store is not ours or cannot be written to: what was received stays in the inbox.
    """
    known: set[str] = set()
    if reception.store is not None:
        claim(reception.store, STORE)  # before the inbox's ledger is kept in it
    while True:
        for folder in receiver.release():
            known.discard(folder.name)
            heard(ReceptionEvent("received", folder.name, sum(path.suffix == ".dcm" for path in folder.iterdir())))
        for one in receiver.inbox.waiting():
            if one.broken and one.study_instance_uid not in known:
                known.add(one.study_instance_uid)
                said = f"expected the rest of the study behind {one.objects} objects, its sender broke off or was refused some; have it sent again"
                heard(ReceptionEvent("partial", one.study_instance_uid, one.objects, "PARTIAL_STUDY", said))
        if reception.store is not None:
            _ingest(receiver.inbox.folder, reception.store, reception.policy, heard)
        if stop.wait(LOOK_S):
            return


def _ingest(inbox: Path, store: Path, policy: IngestPolicy, heard: Callable[[ReceptionEvent], None]) -> None:
    watched = Inbox(inbox, store / "quarantine" / "inbox.json", _SETTLE_S)
    for arrival in watched.arrivals():
        name = arrival.path.name
        try:
            counts = ingest_with_site_secret(IngestRequest(arrival.path, store, policy)).summary()["ingest"]
            heard(ReceptionEvent("ingested", name, counts["accepted"]))
        except (SourceError, IngestError) as error:
            # One entry that is none must not keep the others waiting.
            heard(ReceptionEvent("refused", name, 0, error.code, str(error)))
        watched.take(arrival)
