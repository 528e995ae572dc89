"""A C-STORE receiver: takes associations, stores what they bring into an inbox, and bounds all of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from data_contracts import NetworkError
from data_contracts.private import FILE_MODE, private_folder
from medkd.network.study_inbox import InboxLimits, IncomingAssociation, StudyInbox

if TYPE_CHECKING:
    import ssl

_LOCK = ".receiver-lock"


@dataclass(frozen=True)
class ReceiverLimits:
    """What a receiver takes from the network.

    Attributes:
        associations: that may be open at once; one more is rejected for the moment (PS3.8 9.3.4: local limit exceeded).
        pdu_bytes: of the largest PDU that peers may send.
        timeout_s: seconds without a word from a peer, also inside of an object, after which its association is aborted.
        inbox: limits of the inbox.
    """

    associations: int = 16
    pdu_bytes: int = 131072
    timeout_s: float = 60.0
    inbox: InboxLimits = field(default_factory=InboxLimits)


class Receiver:
    """A Storage SCP that is listening while it is entered.

    Args:
        folder: the inbox; one receiver at a time.
        port: to listen at; 0 takes a free one.
        ae_title: that peers have to call.
        host: address to listen at; empty for all of this machine.
        limits: of what is taken.
        tls: context that connections have to keep to.

    Raises:
        NetworkError: ``RECEIVER_RUNNING`` when another one works on the folder, ``PORT_TAKEN`` when the port cannot be listened at.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        ae_title: str,
        *,
        host: str = "",
        limits: ReceiverLimits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.limits, self.ae_title = limits or ReceiverLimits(), ae_title
        self._address, self._tls, self._folder = (host, port), tls, folder
        self._lock = FileLock(private_folder(folder) / _LOCK, mode=FILE_MODE)
        self._server: Any = None
        self.inbox: StudyInbox

    @property
    def port(self) -> int:
        """Return the port that is listened at."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Receiver:
        """Begin to listen."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise NetworkError("RECEIVER_RUNNING", f"expected an inbox that nobody receives into, {self._folder} has a receiver") from error
        try:
            self.inbox = StudyInbox(self._folder, self.limits.inbox)
            self._server = self._listening()
        except BaseException:
            self._lock.release()
            raise
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop: associations under way are aborted, and what they brought waits for the next start."""
        self._server.ae.shutdown()
        self._lock.release()

    def release(self) -> list[Path]:
        """Hand over every study that is whole, as :meth:`StudyInbox.release`."""
        return self.inbox.release()

    def _listening(self) -> Any:
        from pynetdicom import AE, evt

        from medkd.network.fast_store import StoringServer
        from medkd.network.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
        from medkd.network.services import PLAIN_SYNTAXES, VERIFICATION

        entity = AE(self.ae_title)
        entity.implementation_class_uid, entity.implementation_version_name = IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
        entity.maximum_associations, entity.maximum_pdu_size = self.limits.associations, self.limits.pdu_bytes
        entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = self.limits.timeout_s
        entity.require_called_aet = True
        # The rest of the contexts is added when a peer says what it has: copies of all of them cost a tenth of a second each time.
        entity.add_supported_context(VERIFICATION, list(PLAIN_SYNTAXES))
        try:
            server = entity.make_server(
                self._address,
                ssl_context=self._tls,
                evt_handlers=[(evt.EVT_REQUESTED, _extend_contexts)],
                server_class=StoringServer,
                open_incoming=self._incoming,
            )
        except OSError as error:
            where = f"{self._address[0] or 'port'} {self._address[1]}"
            raise NetworkError("PORT_TAKEN", f"expected to listen at {where}, the system says {error.strerror}; name another") from error
        entity._servers.append(server)
        return server

    def _incoming(self, assoc: Any) -> IncomingAssociation:
        return self.inbox.association(str(assoc.requestor.ae_title).strip())


def _extend_contexts(event: Any) -> None:
    """Support what a peer requests and we store."""
    from medkd.network.services import accepted_contexts

    requested = [(str(one.abstract_syntax), [str(uid) for uid in one.transfer_syntax]) for one in event.assoc.requestor.requested_contexts]
    event.assoc.acceptor.supported_contexts = accepted_contexts(requested)
