"""Objects to an archive by C-STORE: as they are where it takes that, decoded where it takes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_contracts import NetworkError
from medkd.network.addresses import DimsePeer
from medkd.network.association import associated, broke_off
from medkd.network.dimse import DimseArchive
from medkd.network.outgoing import OutgoingObject
from medkd.network.retry import Transient

#: PS3.4 table B.2-1: warnings, with which an object is stored all the same.
_WARNINGS = frozenset((0xB000, 0xB006, 0xB007))
#: Out of resources: later there may be room.
_FULL = range(0xA700, 0xA800)
_MOST_CONTEXTS = 128


class DimseOutlet:
    """Stores by associations.

    Args:
        peer: the archive.
        tls: folder of certificates.
    """

    def __init__(self, peer: DimsePeer, *, tls: Path | None = None) -> None:
        self._peer, self._tls = peer, tls

    def stored(self, study: str) -> set[str]:
        """Return what the archive holds of a study (C-FIND)."""
        return DimseArchive(self._peer, tls=self._tls).stored(study)

    def send(self, objects: list[OutgoingObject], sent: Callable[[OutgoingObject], None]) -> dict[str, str]:
        """Send objects on one association; :class:`Transient` where it breaks off, or the archive has no room for the moment."""
        refused: dict[str, str] = {}
        full: list[OutgoingObject] = []
        with associated(self._peer, _contexts(objects), tls=self._tls) as association:
            for number, one in enumerate(objects, 1):
                status = self._stored(association, one, number % 65536)
                if isinstance(status, str):
                    refused[one.sop_instance_uid] = status
                elif status == 0 or status in _WARNINGS:
                    sent(one)
                elif status in _FULL:
                    full.append(one)
                else:
                    refused[one.sop_instance_uid] = f"refused, status 0x{status:04X}"
        if full:
            trouble = Transient()
            trouble.__cause__ = NetworkError(
                "PEER_REFUSED", f"expected {self._peer} to have room, it refuses {len(full)} objects for the moment"
            )
            raise trouble
        return refused

    def _stored(self, association: Any, one: OutgoingObject, number: int) -> int | str:
        """Return the status of one object, or in words why it cannot be sent."""
        from pynetdicom import _config

        accepted = {(str(cx.abstract_syntax), str(cx.transfer_syntax[0])) for cx in association.accepted_contexts}
        if (one.sop_class_uid, one.transfer_syntax_uid) in accepted:
            _config.STORE_SEND_CHUNKED_DATASET = True  # the file as it is, piece by piece
            given: Any = one.path
        elif any(sop_class == one.sop_class_uid for sop_class, _ in accepted):
            _config.STORE_SEND_CHUNKED_DATASET = False
            given = _decoded(one)
        else:
            return "NO_PRESENTATION_CONTEXT: the archive does not take objects of this class"
        if given is None:
            return "NO_PRESENTATION_CONTEXT: the archive does not take this encoding, and it cannot be decoded here"
        try:
            status = association.send_c_store(given, msg_id=number)
        except (ValueError, RuntimeError, AttributeError) as error:
            if association.is_established:
                return f"cannot be encoded for the archive ({type(error).__name__})"
            raise broke_off(self._peer, "C-STORE") from error
        if not status:
            raise broke_off(self._peer, "C-STORE")
        return int(status.Status)


def _contexts(objects: list[OutgoingObject]) -> list[Any]:
    """Return what the objects need: each class as it is encoded, and in plain encodings beside."""
    from pynetdicom import build_context

    from medkd.network.services import PLAIN_SYNTAXES

    exact = sorted({(one.sop_class_uid, one.transfer_syntax_uid) for one in objects})
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in exact]
    contexts += [build_context(sop_class, list(PLAIN_SYNTAXES)) for sop_class in sorted({one.sop_class_uid for one in objects})]
    return contexts[:_MOST_CONTEXTS]


def _decoded(one: OutgoingObject) -> Any:
    """Return an object in a plain encoding, None where it cannot be decoded."""
    from pydicom import dcmread

    found = dcmread(one.path)
    if found.file_meta.TransferSyntaxUID.is_compressed:
        try:
            found.decompress()
        except Exception:  # whatever a decoder says: the archive cannot have it in this way
            return None
    return found
