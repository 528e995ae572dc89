"""C-STORE as fast as bytes come: pynetdicom negotiates, answers and ends associations, and what is stored goes past it to a file.

pynetdicom 3.0.4 hands each fragment of an object through two threads that look for work every millisecond, copies it six times, and holds the
whole object in memory; 200 CT slices take it three times as long as dcmtk's ``storescp``. Here the fragments of a C-STORE request are read from
the socket into a file by the thread that reads the socket, and its response is written by the same thread. Everything else (association
requests, C-ECHO, release, abort, whatever is wrong) goes pynetdicom's own way, by its state machine (PS3.8 9.2): storing leaves that in the
state of data transfer (Sta6), before and after.
"""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import ssl
from collections.abc import Callable
from struct import Struct
from struct import error as StructError
from typing import Any, Protocol, cast

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from medkd.network.status import StoreStatus

#: PS3.8 9.3.1 and 9.3.5: types of PDUs.
_P_DATA, _RELEASE_REQUEST = 0x04, 0x05
_PDU, _PDV = Struct(">BBL"), Struct(">LBB")
_COMMAND, _LAST = 0x01, 0x02
_STORE_REQUEST, _STORE_RESPONSE, _NO_DATA_SET = 0x0001, 0x8001, 0x0101
_ELEMENT, _SHORT, _LONG = Struct("<HHL"), Struct("<H"), Struct("<L")
#: Bytes that are read from the socket at once.
_PIECE = 1 << 18
#: Seconds that the thread waits for the next PDU before it looks at timers.
_SOON_S = 0.002
#: Seconds after which pynetdicom's own thread looks whether the association is over.
_LATER_S = 0.02
#: Bytes of a request for an association: with 128 contexts of 40 transfer syntaxes it has 150,000.
_MOST_REQUEST = 1 << 20
#: A command set is some hundred bytes; PS3.7 names no bound.
_MOST_COMMAND = 1 << 16


class Part(Protocol):
    """Where the data set of one object goes."""

    def write(self, payload: memoryview) -> None:
        """Append bytes."""


class Incoming(Protocol):
    """What takes the objects of an association."""

    def begin(self, sop_class: str, instance: str, syntax: str) -> Any:
        """Return a part to write to, or the status that refuses the object."""

    def finish(self, part: Any, sop_class: str, instance: str) -> StoreStatus:
        """Return the status of an object that came."""

    def fail(self, part: Any, instance: str) -> StoreStatus:
        """Return the status of an object that cannot be written."""

    def end(self, *, well: bool) -> None:
        """Hear that the association is over: well, when the peer released it."""


class _StoreSocket(AssociationSocket):
    """A socket that gives back what was read too early, and reads large pieces."""

    def __init__(self, assoc: Association, client_socket: socket.socket) -> None:
        self._returned = b""
        super().__init__(assoc, client_socket=client_socket)

    def give_back(self, payload: bytes) -> None:
        """Have the next reader read these bytes first."""
        self._returned = payload

    @property
    def ready(self) -> bool:
        """Return whether there is something to read."""
        return bool(self._returned) or super().ready

    def soon(self) -> bool:
        """Return whether there is something to read, at once or very soon."""
        if self.socket is None or self._returned:
            return bool(self._returned)
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        return bool(select.select([self.socket], [], [], _SOON_S)[0])

    def _shutdown_socket(self) -> None:
        """Close the connection; pynetdicom leaves it open where the peer closed first."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, or fewer where the peer is gone."""
        found = bytearray(nr_bytes)
        got = self.recv_into(memoryview(found))
        return found[:got] if got < nr_bytes else found

    def recv_into(self, room: memoryview) -> int:
        """Fill a piece of memory, and return how much of it was filled before the peer was gone."""
        held = self._returned[: len(room)]
        self._returned = self._returned[len(held) :]
        room[: len(held)] = held
        got = len(held)
        while got < len(room) and self.socket is not None:
            count = self.socket.recv_into(room[got:])
            if not count:
                break
            got += count
        return got


class _Gone(Exception):
    """The peer closed the connection inside of a PDU."""


class _Wrong(Exception):
    """A PDU is none."""


class _Storing(DULServiceProvider):
    """The thread of an association's socket, which stores what is to be stored itself."""

    def __init__(self, assoc: Association, open_incoming: Callable[[Association], Incoming]) -> None:
        super().__init__(assoc)
        self._open_incoming = open_incoming
        self._incoming: Incoming | None = None
        self._most = max(assoc.ae.maximum_pdu_size, _MOST_REQUEST) + _PDU.size
        self._room = memoryview(bytearray(_PIECE))
        self._command = bytearray()
        self._object: _Object | None = None

    def run_reactor(self) -> None:
        """Run until the association is over, however that comes."""
        try:
            super().run_reactor()
        except InvalidEventError:
            # pynetdicom has no rule for a shutdown while a peer is connected that has said nothing yet (Evt15 in Sta2).
            self._socket._shutdown_socket()
        finally:
            self._drop()
            self._end(well=False)

    def _read_pdu_data(self) -> None:
        """Read what the peer sent, and go on while it is objects and more of them come at once."""
        while True:
            try:
                head = bytes(self._socket.recv(_PDU.size))
                kind, _, length = _PDU.unpack(head)
            except (OSError, StructError):
                self.event_queue.put("Evt17")  # the connection is closed
                return
            if length > self._most:
                # Nobody was told that so much may be sent at once: it is not waited for, and no memory is taken for it.
                self.event_queue.put("Evt19")
                return
            if kind != _P_DATA or self.state_machine.current_state != "Sta6":
                if kind == _RELEASE_REQUEST and self.state_machine.current_state == "Sta6":
                    # Before it is answered: who has released may rely on what follows from it.
                    self._end(well=self._object is None)
                self._socket.give_back(head)
                super()._read_pdu_data()
                return
            try:
                self._values(length)
            except (OSError, _Gone):
                self.event_queue.put("Evt17")
                return
            except _Wrong:
                self.event_queue.put("Evt19")  # an invalid PDU: it is answered with an abort
                return
            self._idle_timer.restart()
            busy = self._kill_thread or self.to_provider_queue.queue or self.event_queue.queue
            if busy or not self._socket.soon():
                return

    @property
    def _socket(self) -> _StoreSocket:
        return cast(_StoreSocket, self.socket)  # whoever starts this thread gave it one

    def _values(self, left: int) -> None:
        """Read the presentation data values of a PDU (PS3.8 9.3.5.1)."""
        while left:
            head = self._exactly(_PDV.size) if left >= _PDV.size else b""
            if not head:
                raise _Wrong
            length, context, control = _PDV.unpack(head)
            size = length - 2
            left -= 4 + length
            if size < 0 or left < 0:
                raise _Wrong
            if control & _COMMAND or self._object is None or self._incoming is None:
                self._pass(context, control, self._exactly(size))
            else:
                self._store(self._object, self._incoming, size, last=bool(control & _LAST))

    def _pass(self, context: int, control: int, payload: bytes) -> None:
        """Begin an object where this is the command to store one; hand anything else to pynetdicom."""
        if control & _COMMAND:
            self._command += payload
            if len(self._command) > _MOST_COMMAND or self._object is not None:
                raise _Wrong
            if not control & _LAST:
                return
            payload, self._command = bytes(self._command), bytearray()
            if self._begin(context, payload):
                return
        primitive = P_DATA()
        primitive.presentation_data_value_list.append((context, bytes([control]) + payload))
        self.assoc.dimse.receive_primitive(primitive)

    def _begin(self, context: int, payload: bytes) -> bool:
        command = _read_command(payload)
        accepted = self.assoc._accepted_cx.get(context)
        stores = _number(command, 0x0100) == _STORE_REQUEST and _number(command, 0x0800) != _NO_DATA_SET
        if not stores or accepted is None:
            return False
        if self._incoming is None:
            self._incoming = self._open_incoming(self.assoc)
        sop_class, instance = _text(command, 0x0002), _text(command, 0x1000)
        opened = self._incoming.begin(sop_class, instance, str(accepted.transfer_syntax[0]))
        self._object = _Object(context, _number(command, 0x0110), sop_class, instance, opened)
        return True

    def _store(self, one: _Object, incoming: Incoming, left: int, *, last: bool) -> None:
        """Read a fragment of a data set into the object's file; answer behind the last."""
        while left:
            piece = self._room[: min(left, _PIECE)]
            if self._socket.recv_into(piece) < len(piece):
                raise _Gone
            left -= len(piece)
            if not isinstance(one.part, StoreStatus):
                try:
                    one.part.write(piece)
                except OSError:
                    # Read on: a peer that is answered in the middle of an object would not listen.
                    one.part = incoming.fail(one.part, one.instance)
        if last:
            refused = isinstance(one.part, StoreStatus)
            status = one.part if refused else incoming.finish(one.part, one.sop_class, one.instance)
            self._object = None
            self._socket.send(one.response(status))

    def _exactly(self, size: int) -> bytes:
        found = bytes(self._socket.recv(size))
        if len(found) < size:
            raise _Gone
        return found

    def _drop(self) -> None:
        """Remove what there is of an object whose rest does not come any more."""
        if self._object is not None and self._incoming is not None:
            if not isinstance(self._object.part, StoreStatus):
                self._incoming.fail(self._object.part, self._object.instance)
            self._object = None

    def _end(self, *, well: bool) -> None:
        if self._incoming is not None:
            self._incoming.end(well=well)


class _Object:
    """An object that is being received."""

    def __init__(self, context: int, message: int, sop_class: str, instance: str, part: Any) -> None:
        self.context, self.message, self.part = context, message, part
        self.sop_class, self.instance = sop_class, instance

    def response(self, status: StoreStatus) -> bytes:
        """Return the PDU of a C-STORE response (PS3.7 table 9.3-2)."""
        elements = [
            (0x0002, _padded(self.sop_class, "\0")),
            (0x0100, _SHORT.pack(_STORE_RESPONSE)),
            (0x0120, _SHORT.pack(self.message)),
            (0x0800, _SHORT.pack(_NO_DATA_SET)),
            (0x0900, _SHORT.pack(status)),
        ]
        if status.comment:
            elements.append((0x0902, _padded(status.comment, " ")))
        elements.append((0x1000, _padded(self.instance, "\0")))
        body = b"".join(_ELEMENT.pack(0, number, len(value)) + value for number, value in elements)
        body = _ELEMENT.pack(0, 0, 4) + _LONG.pack(len(body)) + body
        value = _PDV.pack(len(body) + 2, self.context, _COMMAND | _LAST) + body
        return _PDU.pack(_P_DATA, 0, len(value)) + value


class _Messages(DIMSEServiceProvider):
    """The messages that pynetdicom's own thread of an association waits for, instead of looking for them every millisecond."""

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message, or nothing after a little while."""
        if block:
            return super().get_msg(block)
        try:
            return self.msg_queue.get(timeout=_LATER_S)
        except queue.Empty:
            return None, None


class _StoringHandler(RequestHandler):
    """Gives each association a thread that stores."""

    server: StoringServer

    def _create_association(self) -> Association:
        assoc = super()._create_association()
        ae = self.ae
        assoc.dul = _Storing(assoc, self.server.open_incoming)
        assoc.dimse = _Messages(assoc)
        assoc.dul.socket = _StoreSocket(assoc, self.request)
        # The timers are those of the thread.
        assoc.acse_timeout, assoc.network_timeout = ae.acse_timeout, ae.network_timeout
        return assoc


class StoringServer(ThreadedAssociationServer):
    """A server of associations whose objects go to files. Made by ``AE.make_server``.

    Args:
        open_incoming: called with an association when its first object comes, in the thread of the association.
    """

    def __init__(self, *args: Any, open_incoming: Callable[[Association], Incoming], **kwargs: Any) -> None:
        self.open_incoming = open_incoming
        super().__init__(*args, **{**kwargs, "request_handler": _StoringHandler})

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; its handshake, if there is one, does not keep others waiting."""
        client, address = self.socket.accept()  # type: ignore[union-attr]
        # Answers are small and awaited: they are not to wait for more to be sent with them.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A handshake waits no longer either.
        client.settimeout(self.ae.network_timeout)
        if self.ssl_context:
            client = self.ssl_context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        return client, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Begin an association, in a thread of its own."""
        if isinstance(request, ssl.SSLSocket):
            request.do_handshake()
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a peer that is none: the connection is closed."""


def _read_command(payload: bytes) -> dict[int, bytes]:
    """Return the elements of a command set (PS3.7 6.3: implicit, little endian) by their numbers."""
    found, offset = {}, 0
    while offset + _ELEMENT.size <= len(payload):
        group, number, length = _ELEMENT.unpack_from(payload, offset)
        begin = offset + _ELEMENT.size
        if group or begin + length > len(payload):
            raise _Wrong
        found[number] = payload[begin : begin + length]
        offset = begin + length
    return found


def _number(command: dict[int, bytes], number: int) -> int:
    value = command.get(number, b"")
    return int(_SHORT.unpack(value)[0]) if len(value) == _SHORT.size else -1


def _text(command: dict[int, bytes], number: int) -> str:
    return command.get(number, b"").rstrip(b"\0 ").decode("ascii", "replace")


def _padded(text: str, pad: str) -> bytes:
    encoded = text.encode("ascii", "replace")
    return encoded + pad.encode() * (len(encoded) % 2)
