"""Storage commitment, push model (PS3.4 annex J): an archive is asked whether it will keep what it was sent, and says so, now or later.

The request (N-ACTION) goes to the archive; its report (N-EVENT-REPORT) comes on the same association, or on one that the archive opens to us,
for which we listen at the port that it knows us by.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_contracts import NetworkError
from medkd.network.addresses import DimsePeer
from medkd.network.association import associated
from medkd.network.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from medkd.network.secure import server_context

#: PS3.4 J.3: the one instance of the class, which requests are made of, and the action that requests commitment.
_INSTANCE, _REQUEST = "1.2.840.10008.1.20.1.1", 1
#: Seconds that a report on the same association is waited for; archives that open another one do so at once or much later.
SAME_S = 2.0
#: Failure reason (0008,1197) of what the archive has not got: no such object instance.
NOT_THERE = 0x0112


@dataclass(frozen=True)
class Commitment:
    """What an archive said.

    Attributes:
        committed: identifiers of the objects that it keeps.
        failed: of the others, its reason (0008,1197).
    """

    committed: frozenset[str]
    failed: dict[str, int]


def request_commitment(
    peer: DimsePeer,
    objects: Iterable[tuple[str, str]],
    *,
    listen: tuple[str, int] | None = None,
    wait_s: float = 30.0,
    tls: Path | None = None,
) -> Commitment | None:
    """Return what an archive commits itself to; None where it does not offer that, or said nothing in time.

    Args:
        peer: the archive.
        objects: classes and identifiers.
        listen: address and port for a report on an association of its own; None: only the same association.
        wait_s: seconds that a report on an association of its own is waited for.
        tls: folder of certificates.

    Raises:
        NetworkError, Transient: as :func:`associated`; ``PORT_TAKEN``.
    """
    from pydicom.uid import generate_uid
    from pynetdicom import build_context, evt

    from medkd.network.services import COMMITMENT, PLAIN_SYNTAXES

    wanted = _Reports(generate_uid())
    heard = [(evt.EVT_N_EVENT_REPORT, wanted.hear)]
    context = build_context(COMMITMENT, list(PLAIN_SYNTAXES))
    try:
        with contextlib.ExitStack() as stack:
            if listen is not None:
                stack.enter_context(_listening(peer, listen, heard, tls))
            with associated(peer, [context], handlers=heard, tls=tls) as association:
                status, _ = association.send_n_action(_asked(wanted.transaction, objects), _REQUEST, COMMITMENT, _INSTANCE)
                if not status or status.Status != 0:
                    return None
                wanted.arrived.wait(SAME_S)
            if listen is not None:
                wanted.arrived.wait(wait_s)
    except NetworkError as error:
        if error.code == "NO_PRESENTATION_CONTEXT":
            return None
        raise
    return wanted.found


class _Reports:
    """Hears the report of one transaction, on whichever association it comes."""

    def __init__(self, transaction: str) -> None:
        self.transaction, self.arrived = transaction, threading.Event()
        self.found: Commitment | None = None

    def hear(self, event: Any) -> tuple[int, None]:
        """Take a report (N-EVENT-REPORT)."""
        report = event.event_information
        if str(report.get("TransactionUID")) != self.transaction:
            return 0x0110, None  # processing failure: we asked for no such thing
        self.found = Commitment(
            frozenset(str(one.ReferencedSOPInstanceUID) for one in report.get("ReferencedSOPSequence", [])),
            {str(one.ReferencedSOPInstanceUID): int(one.get("FailureReason") or 0x0110) for one in report.get("FailedSOPSequence", [])},
        )
        self.arrived.set()
        return 0, None


@contextlib.contextmanager
def _listening(peer: DimsePeer, listen: tuple[str, int], heard: list[Any], tls: Path | None) -> Iterator[None]:
    from pynetdicom import AE

    from medkd.network.services import COMMITMENT, PLAIN_SYNTAXES, VERIFICATION

    entity = AE(peer.calling)
    entity.implementation_class_uid, entity.implementation_version_name = IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
    entity.require_called_aet = True
    # The archive is the provider of the service also where it is the one who calls (PS3.4 J.3.3): roles are the other way round.
    entity.add_supported_context(COMMITMENT, list(PLAIN_SYNTAXES), scu_role=False, scp_role=True)
    entity.add_supported_context(VERIFICATION, list(PLAIN_SYNTAXES))
    secured = server_context(tls) if peer.tls and tls is not None else None
    try:
        entity.start_server(listen, block=False, evt_handlers=heard, ssl_context=secured)
    except OSError as error:
        raise NetworkError(
            "PORT_TAKEN", f"expected to listen at {listen[0] or 'port'} {listen[1]}, the system says {error.strerror}"
        ) from error
    try:
        yield
    finally:
        entity.shutdown()


def _asked(transaction: str, objects: Iterable[tuple[str, str]]) -> Any:
    from pydicom import Dataset

    asked = Dataset()
    asked.TransactionUID = transaction
    asked.ReferencedSOPSequence = []
    for sop_class, instance in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        asked.ReferencedSOPSequence.append(item)
    return asked
