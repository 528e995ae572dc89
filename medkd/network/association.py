"""Associations that we request: opened with the contexts they need, released or aborted, and every way of failing told apart."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from data_contracts import NetworkError
from medkd.network.addresses import DimsePeer
from medkd.network.installed import require_network
from medkd.network.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from medkd.network.retry import Transient
from medkd.network.secure import client_context

#: Seconds for a connection, for a peer's answer to a request, and between two pieces of what it sends.
CONNECT_S, ANSWER_S = 10.0, 60.0
#: Bytes of the largest PDU that peers may send us.
PDU_BYTES = 131072
#: PS3.8 table 9-21: reasons of the service user to reject an association.
_CALLING_UNKNOWN, _CALLED_UNKNOWN = 3, 7
_TRANSIENT = 2


@contextlib.contextmanager
def associated(
    peer: DimsePeer, contexts: Iterable[Any], *, handlers: Iterable[Any] = (), roles: Iterable[Any] = (), tls: Path | None = None
) -> Iterator[Any]:
    """Yield an association with a peer, released afterwards; aborted where what is inside raises.

    Args:
        peer: that is called.
        contexts: presentation contexts of pynetdicom.
        handlers: of events.
        roles: items of role selection.
        tls: folder of certificates.

    Raises:
        NetworkError: ``CALLED_AE_UNKNOWN``, ``CALLING_AE_UNKNOWN``, ``PEER_REFUSED``, ``NO_PRESENTATION_CONTEXT``, ``TLS_FILES``.
        Transient: of ``PEER_UNREACHABLE``, ``ASSOCIATION_ABORTED``, or ``PEER_REFUSED`` where the peer says that it is for the moment.
    """
    require_network()
    from pynetdicom import AE, evt

    opened: list[Any] = []
    made: list[Any] = []
    entity = AE(peer.calling)
    entity.implementation_class_uid, entity.implementation_version_name = IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout, entity.acse_timeout = CONNECT_S, CONNECT_S
    entity.dimse_timeout, entity.network_timeout = ANSWER_S, ANSWER_S
    secured = None
    if peer.tls:
        secured = (client_context(tls), peer.host)
        secured[0].sslsocket_class = _ClosedSocket
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.called,
            max_pdu=PDU_BYTES,
            ext_neg=list(roles),
            tls_args=secured,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, opened.append),
                (evt.EVT_ACSE_SENT, lambda event: made.append(event.assoc.dul.socket.socket)),
                *handlers,
            ],
        )
    except OSError as error:  # a name that nobody knows
        raise Transient from _caused(error, "PEER_UNREACHABLE", f"expected {peer} to answer: {error}")
    if not association.is_established:
        _close(made)
        raise _not_established(peer, association, connected=bool(opened))
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    else:
        if association.is_established:
            association.release()
    finally:
        _close(made)


def _close(sockets: list[Any]) -> None:
    """Close what pynetdicom forgets, open, where a peer was gone before it."""
    for one in sockets:
        if one is not None:
            one.close()


class _ClosedSocket(ssl.SSLSocket):
    """A socket that is closed also where it never got through: pynetdicom shuts it down before, and leaves it where that fails."""

    def shutdown(self, how: int) -> None:
        """Shut down what there is."""
        with contextlib.suppress(OSError):
            super().shutdown(how)


def broke_off(peer: DimsePeer, what: str) -> Transient:
    """Return the error of an association that ended before it should."""
    trouble = Transient(what)
    trouble.__cause__ = NetworkError("ASSOCIATION_ABORTED", f"expected {peer} to answer {what}, the association broke off")
    return trouble


def _not_established(peer: DimsePeer, association: Any, *, connected: bool) -> Exception:
    if association.is_rejected:
        return _rejected(peer, association)
    answer = association.acceptor.primitive
    if answer is not None and answer.result == 0 and not association.accepted_contexts:
        offered = sorted({str(one.abstract_syntax) for one in association.requestor.requested_contexts})
        return NetworkError(
            "NO_PRESENTATION_CONTEXT", f"expected {peer} to accept one of {len(offered)} SOP classes ({offered[0]}, …), it accepts none"
        )
    if connected:
        return broke_off(peer, "a request for an association")
    trouble = Transient()
    advice = "look at address and port, at firewalls" + (", and at certificates" if peer.tls else "")
    trouble.__cause__ = NetworkError("PEER_UNREACHABLE", f"expected {peer} to answer, there is no connection; {advice}")
    return trouble


def _rejected(peer: DimsePeer, association: Any) -> Exception:
    answer = association.acceptor.primitive
    by_user = answer.result_source == 1
    if by_user and answer.diagnostic == _CALLED_UNKNOWN:
        return NetworkError("CALLED_AE_UNKNOWN", f"expected {peer} to be called {peer.called!r}, it is not; ask for its AE title")
    if by_user and answer.diagnostic == _CALLING_UNKNOWN:
        return NetworkError("CALLING_AE_UNKNOWN", f"expected {peer} to know {peer.calling!r}, it does not; have this AE title added there")
    refused = NetworkError("PEER_REFUSED", f"expected {peer} to accept an association, it refuses: {answer.reason_str}")
    if answer.result != _TRANSIENT:
        return refused
    trouble = Transient()
    trouble.__cause__ = refused
    return trouble


def _caused(error: Exception, code: str, sentence: str) -> NetworkError:
    found = NetworkError(code, sentence)
    found.__cause__ = error
    return found
