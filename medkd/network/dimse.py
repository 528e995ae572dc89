"""Archives that speak DIMSE: C-FIND to ask, C-GET or C-MOVE to fetch, study root (PS3.4 annex C)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from data_contracts import DataError, NetworkError
from medkd.network.addresses import DimsePeer
from medkd.network.association import associated, broke_off
from medkd.network.mirror import Instance, StudyMirror
from medkd.network.part10 import file_head
from medkd.network.receive import Receiver, ReceiverLimits
from medkd.network.retry import Transient
from medkd.network.secure import server_context
from medkd.network.status import StoreStatus
from medkd.network.study_inbox import InboxLimits
from medkd.network.whole_dataset import UID_FORM

#: PS3.7 C: a response behind which others follow.
_PENDING = (0xFF00, 0xFF01)
_SUCCESS, _SOME_FAILED = 0x0000, 0xB000
#: PS3.8 9.3.2.2: identifiers of presentation contexts are odd numbers below 256.
_MOST_CONTEXTS = 128
#: Identifiers that are named in one request; more make requests that some archives do not read.
_MOST_NAMED = 100


class DimseArchive:
    """An application entity that answers C-FIND, and C-GET or C-MOVE.

    Args:
        peer: it.
        move: AE title and port of ours that objects are moved to; None: C-GET.
        tls: folder of certificates.
    """

    def __init__(self, peer: DimsePeer, *, move: tuple[str, int] | None = None, tls: Path | None = None) -> None:
        self.peer, self._move, self._tls = peer, move, tls

    def studies(self, keys: tuple[tuple[str, str], ...]) -> list[str]:
        """Return the StudyInstanceUIDs of the studies that have the keys."""
        return sorted({str(one.StudyInstanceUID) for one in self._find("STUDY", {"StudyInstanceUID": "", **dict(keys)})})

    def instances(self, study: str) -> list[Instance]:
        """Return every object of a study: a query by series, as the hierarchy of the model asks for (PS3.4 C.4.1.2.1)."""
        found = []
        series = {str(one.SeriesInstanceUID) for one in self._find("SERIES", {"StudyInstanceUID": study, "SeriesInstanceUID": ""})}
        for uid in sorted(series):
            asked = {"StudyInstanceUID": study, "SeriesInstanceUID": uid, "SOPInstanceUID": "", "SOPClassUID": ""}
            found += [Instance(uid, str(one.SOPInstanceUID), str(one.get("SOPClassUID") or "")) for one in self._find("IMAGE", asked)]
        strange = [one for one in found if not UID_FORM.match(one.sop_instance_uid)]
        if strange:
            raise NetworkError("PEER_ANSWER", f"expected UIDs of instances from {self.peer}, got {strange[0]}")
        return found

    def stored(self, study: str) -> set[str]:
        """Return the identifiers of the objects of a study that the archive holds."""
        return {one.sop_instance_uid for one in self.instances(study)}

    def fetch(self, study: str, wanted: list[Instance], mirror: StudyMirror) -> None:
        """Bring objects: on the association that asks for them (C-GET), or on one that the archive opens (C-MOVE)."""
        if self._move is None:
            for sop_class, ones in groupby(sorted(wanted, key=lambda one: one.sop_class_uid), lambda one: one.sop_class_uid):
                self._get(study, sop_class, list(ones), mirror)
        else:
            self._moved(study, wanted, mirror, *self._move)

    def _find(self, level: str, keys: dict[str, str]) -> list[Any]:
        from pynetdicom import build_context

        from medkd.network.services import FIND, PLAIN_SYNTAXES

        found = []
        with associated(self.peer, [build_context(FIND, list(PLAIN_SYNTAXES))], tls=self._tls) as association:
            for status, identifier in association.send_c_find(_identifier(level, keys), FIND):
                if not status:
                    raise broke_off(self.peer, "C-FIND")
                if status.Status in _PENDING:
                    found.append(identifier)
                elif status.Status != _SUCCESS:
                    raise self._failed("C-FIND", status)
        return found

    def _get(self, study: str, sop_class: str, wanted: list[Instance], mirror: StudyMirror) -> None:
        from pynetdicom import build_context, build_role, evt

        from medkd.network.services import GET, PLAIN_SYNTAXES

        classes = (sop_class,) if sop_class else _common_classes()
        contexts = [build_context(GET, list(PLAIN_SYNTAXES)), *_storage_contexts(classes)]
        kept = _Kept(mirror, {one.sop_instance_uid for one in wanted})
        roles = [build_role(uid, scp_role=True) for uid in classes]
        with associated(self.peer, contexts, handlers=[(evt.EVT_C_STORE, kept.store)], roles=roles, tls=self._tls) as association:
            for series, names in _requests(wanted):
                asked = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": names}
                self._followed("C-GET", association.send_c_get(_identifier("IMAGE", asked), GET))
        kept.require_none_refused()

    def _moved(self, study: str, wanted: list[Instance], mirror: StudyMirror, title: str, port: int) -> None:
        from pynetdicom import build_context

        from medkd.network.services import MOVE, PLAIN_SYNTAXES

        secured = server_context(self._tls) if self.peer.tls and self._tls is not None else None
        limits = ReceiverLimits(inbox=InboxLimits(min_free_bytes=0))
        with Receiver(mirror.folder.parent.parent / "moved", port, title, limits=limits, tls=secured) as receiver:
            try:
                with associated(self.peer, [build_context(MOVE, list(PLAIN_SYNTAXES))], tls=self._tls) as association:
                    for series, names in _requests(wanted):
                        mirror.require_room()
                        asked = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": names}
                        self._followed("C-MOVE", association.send_c_move(_identifier("IMAGE", asked), title, MOVE))
            finally:
                listed = {one.sop_instance_uid for one in wanted}
                for path in receiver.inbox.collected(study):
                    if path.stem in listed:
                        mirror.take(path, path.stem)

    def _followed(self, what: str, responses: Iterator[tuple[Any, Any]]) -> None:
        """Follow the responses of a retrieval to its end; what the archive could not send is missing afterwards, and counted there."""
        last = None
        for status, _ in responses:
            if not status:
                raise broke_off(self.peer, what)
            last = status
        if last is None or last.Status not in (_SUCCESS, _SOME_FAILED):
            raise self._failed(what, last)
        failed = int(last.get("NumberOfFailedSuboperations") or 0)
        if failed:
            trouble = Transient()
            trouble.__cause__ = NetworkError(
                "PEER_REFUSED", f"expected {self.peer} to send every object asked for by {what}, it could not send {failed}"
            )
            raise trouble

    def _failed(self, what: str, status: Any) -> Exception:
        code = "none" if status is None else f"0x{status.Status:04X}"
        said = "" if status is None else str(status.get("ErrorComment") or "")[:64]
        trouble = NetworkError("PEER_REFUSED", f"expected {self.peer} to answer {what}, its status is {code} {said}".rstrip())
        if status is not None and 0xA700 <= status.Status <= 0xA7FF:
            late = Transient()
            late.__cause__ = trouble
            return late
        return trouble


class _Kept:
    """Objects that come on an association of ours, kept in a mirror."""

    def __init__(self, mirror: StudyMirror, wanted: set[str]) -> None:
        self._mirror, self._wanted, self._refused = mirror, wanted, dict[str, Exception]()

    def store(self, event: Any) -> int:
        """Keep an object (C-STORE of a C-GET)."""
        request, syntax = event.request, str(event.context.transfer_syntax)
        instance = str(request.AffectedSOPInstanceUID)
        try:
            if instance not in self._wanted:
                return StoreStatus.DATA_SET_DIFFERS  # nobody asked for it
            head = file_head(str(request.AffectedSOPClassUID), instance, syntax)
            self._mirror.keep((head, request.DataSet.getvalue()), instance)
        except DataError as error:
            self._refused[instance] = error
            return StoreStatus.CANNOT_UNDERSTAND
        except (OSError, NetworkError) as error:
            self._refused[instance] = error
            return StoreStatus.OUT_OF_RESOURCES
        return StoreStatus.SUCCESS

    def require_none_refused(self) -> None:
        """Raise what an object was refused for: a full disk as it is, an object that was none as something to try again."""
        for error in self._refused.values():
            if not isinstance(error, DataError):
                raise error
            raise Transient from error


def _identifier(level: str, keys: dict[str, Any]) -> Any:
    from pydicom import Dataset

    found = Dataset()
    found.QueryRetrieveLevel = level
    for name, value in keys.items():
        setattr(found, name, value)
    return found


def _requests(wanted: list[Instance]) -> Iterator[tuple[str, list[str]]]:
    """Return the series of objects with their identifiers, no more of them at once than archives read."""
    for series, ones in groupby(sorted(wanted, key=lambda one: one.series_instance_uid), lambda one: one.series_instance_uid):
        names = [one.sop_instance_uid for one in ones]
        for begin in range(0, len(names), _MOST_NAMED):
            yield series, names[begin : begin + _MOST_NAMED]


def _storage_contexts(classes: tuple[str, ...]) -> list[Any]:
    """Return a context for each class and transfer syntax, so that an archive need not decode what it holds to send it."""
    from pynetdicom import build_context

    from medkd.network.services import PLAIN_SYNTAXES, TRANSFER_SYNTAXES

    plain = [build_context(uid, list(PLAIN_SYNTAXES)) for uid in classes]
    others = [build_context(uid, one) for one in TRANSFER_SYNTAXES if one not in PLAIN_SYNTAXES for uid in classes]
    return [*plain, *others][: _MOST_CONTEXTS - 1]


def _common_classes() -> tuple[str, ...]:
    """Return the classes that are asked for where an archive does not say of which its objects are."""
    from pynetdicom import StoragePresentationContexts

    return tuple(str(one.abstract_syntax) for one in StoragePresentationContexts[: _MOST_CONTEXTS - 1])
