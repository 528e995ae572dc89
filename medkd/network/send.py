"""Sends objects to an archive: each once, again where that may help, and with what became of each in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal, Protocol

from data_contracts import MedkdError, NetworkError
from medkd.network.addresses import DimsePeer, WebPeer
from medkd.network.outgoing import OutgoingObject, outgoing_objects
from medkd.network.retry import Retries, retried
from medkd.network.secure import tls_folder
from medkd.network.sent_journal import SentJournal, SentObject

#: sent: now. known: the journal says that the peer has it. found: the peer says so itself. failed: it was refused, or did not get through.
SentState = Literal["sent", "known", "found", "failed"]


@dataclass(frozen=True)
class SendRequest:
    """What is sent where.

    Attributes:
        folder: result set, folder of DICOM, or file.
        peer: the archive.
        commitment: whether the archive is asked to commit itself to what it got (DIMSE alone).
        listen: address and port that it may report that to on an association of its own.
        wait_s: seconds that such a report is waited for.
        tls: folder of certificates; by default the one that the environment names.
    """

    folder: Path
    peer: DimsePeer | WebPeer
    commitment: bool = True
    listen: tuple[str, int] | None = None
    wait_s: float = 30.0
    tls: Path | None = None


@dataclass(frozen=True)
class SentOutcome:
    """What became of one object.

    Attributes:
        file: its name.
        sop_instance_uid: its identifier.
        state: what became of it.
        reason: why it failed; empty otherwise.
        committed: whether the archive has committed itself to it; None where it does not offer that, or has not said so yet.
    """

    file: str
    sop_instance_uid: str
    state: SentState
    reason: str = ""
    committed: bool | None = None


class Outlet(Protocol):
    """How objects get to an archive."""

    def stored(self, study: str) -> set[str]:
        """Return the identifiers of the objects of a study that the archive holds."""

    def send(self, objects: list[OutgoingObject], sent: Callable[[OutgoingObject], None]) -> dict[str, str]:
        """Send objects, call ``sent`` of each that was accepted, and return why others were refused, by their identifiers."""


def send(request: SendRequest, *, retries: Retries | None = None) -> list[SentOutcome]:
    """Send the objects of a folder that an archive does not have yet, and return what became of every one.

    Raises:
        SourceError, StoreError, NetworkError: as :func:`medkd.network.outgoing.outgoing_objects`; where nothing could be sent at all, what the
            archive said.
    """
    retries = retries or Retries()
    objects = outgoing_objects(request.folder)
    tls = request.tls or tls_folder()
    outlet = _outlet(request.peer, tls)
    journal = SentJournal(request.folder, str(request.peer))
    states: dict[str, SentState] = {one.sop_instance_uid: "known" for one in objects if journal.holds(one.sop_instance_uid, one.sha256)}
    for one in _found(objects, states, outlet, retries):
        states[one.sop_instance_uid] = "found"
        journal.note(one.sop_instance_uid, SentObject(one.sha256))

    def note(one: OutgoingObject) -> None:
        states[one.sop_instance_uid] = "sent"
        journal.note(one.sop_instance_uid, SentObject(one.sha256))

    refused = _sent(objects, states, outlet, note, retries)
    committed = _committed(request, objects, states, journal, tls, retries)
    return [_outcome(one, states, refused, committed) for one in objects]


def _outlet(peer: DimsePeer | WebPeer, tls: Path | None) -> Outlet:
    if isinstance(peer, WebPeer):
        from medkd.network.store_web import WebOutlet

        return WebOutlet(peer.url, tls=tls)
    from medkd.network.store_dimse import DimseOutlet

    return DimseOutlet(peer, tls=tls)


def _found(objects: list[OutgoingObject], states: dict[str, SentState], outlet: Outlet, retries: Retries) -> list[OutgoingObject]:
    """Return what the archive has although the journal does not know: another machine sent it, or this one was killed before it noted so."""
    unknown = [one for one in objects if one.sop_instance_uid not in states]
    found = []
    for study, ones in groupby(sorted(unknown, key=lambda one: one.study_instance_uid), lambda one: one.study_instance_uid):
        try:
            held = retried(lambda study=study: outlet.stored(study), retries)  # type: ignore[misc]
        except NetworkError as error:
            if error.code in ("NO_PRESENTATION_CONTEXT", "PEER_REFUSED", "PEER_ANSWER"):
                continue  # an archive that answers no questions is sent everything
            raise
        found += [one for one in ones if one.sop_instance_uid in held]
    return found


def _sent(
    objects: list[OutgoingObject], states: dict[str, SentState], outlet: Outlet, note: Callable[[OutgoingObject], None], retries: Retries
) -> dict[str, str]:
    """Send what is missing, again where that may help; return why what is still missing was refused."""
    refused: dict[str, str] = {}

    def attempt() -> None:
        missing = [one for one in objects if one.sop_instance_uid not in states and one.sop_instance_uid not in refused]
        if missing:
            refused.update(outlet.send(missing, note))

    try:
        retried(attempt, retries)
    except MedkdError as error:
        missing = [one for one in objects if one.sop_instance_uid not in states]
        if len(missing) == len(objects):
            raise
        refused.update({one.sop_instance_uid: f"{error.code}: {error}" for one in missing if one.sop_instance_uid not in refused})
    return refused


def _committed(
    request: SendRequest,
    objects: list[OutgoingObject],
    states: dict[str, SentState],
    journal: SentJournal,
    tls: Path | None,
    retries: Retries,
) -> dict[str, bool]:
    """Ask an archive to commit itself to what it has and has not committed itself to; return what it said of each."""
    known = {one.sop_instance_uid: True for one in objects if one.sop_instance_uid in states and journal.is_committed(one.sop_instance_uid)}
    asked = [one for one in objects if one.sop_instance_uid in states and one.sop_instance_uid not in known]
    peer = request.peer
    if not request.commitment or not isinstance(peer, DimsePeer) or not asked:
        return known
    from medkd.network.commitment import request_commitment

    pairs = [(one.sop_class_uid, one.sop_instance_uid) for one in asked]
    try:
        found = retried(lambda: request_commitment(peer, pairs, listen=request.listen, wait_s=request.wait_s, tls=tls), retries)
    except NetworkError as error:
        if error.code == "PORT_TAKEN":
            raise
        found = None  # the objects are there; that the archive does not answer this question does not change it
    if found is None:
        return known
    for one in asked:
        if one.sop_instance_uid in found.committed:
            known[one.sop_instance_uid] = True
            journal.note(one.sop_instance_uid, SentObject(one.sha256, committed=True))
        elif one.sop_instance_uid in found.failed:
            known[one.sop_instance_uid] = False
    return known


def _outcome(one: OutgoingObject, states: dict[str, SentState], refused: dict[str, str], committed: dict[str, bool]) -> SentOutcome:
    uid = one.sop_instance_uid
    return SentOutcome(one.path.name, uid, states.get(uid, "failed"), "" if uid in states else refused.get(uid, ""), committed.get(uid))


def is_complete(outcomes: Iterable[SentOutcome]) -> bool:
    """Return whether the archive has everything, and did not refuse to keep any of it."""
    return all(one.state != "failed" and one.committed is not False for one in outcomes)
