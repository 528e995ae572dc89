"""The way past pynetdicom answers as pynetdicom's own way does, and gives back what it read too early."""

from __future__ import annotations

import socket
from io import BytesIO

import pytest
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_STORE_RSP, DIMSEMessage
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import CTImageStorage, Verification

from medkd.network import fast_store
from medkd.network.receive import Receiver, ReceiverLimits
from medkd.network.status import StoreStatus
from medkd.network.study_inbox import InboxLimits
from tests.network.peers import small_object, wait_for


@pytest.mark.parametrize("status", StoreStatus)
@pytest.mark.parametrize("instance", ["1.2.3", "1.2.34"])
def test_pynetdicom_reads_the_response(status, instance):
    one = fast_store._Object(7, 513, CTImageStorage, instance, None)
    pdu = P_DATA_TF()
    pdu.decode(one.response(status))
    message = DIMSEMessage()
    assert message.decode_msg(pdu.to_primitive())
    assert isinstance(message, C_STORE_RSP)
    found = message.message_to_primitive()
    assert (found.MessageIDBeingRespondedTo, found.Status, found.AffectedSOPInstanceUID) == (513, status, instance)
    assert found.AffectedSOPClassUID == CTImageStorage
    assert (found.ErrorComment or "") == status.comment
    assert message.context_id == 7


def test_a_command_is_read_as_pynetdicom_writes_it():
    from pynetdicom.dimse_messages import C_STORE_RQ
    from pynetdicom.dimse_primitives import C_STORE

    request = C_STORE()
    request.MessageID, request.Priority, request.AffectedSOPClassUID = 9, 1, CTImageStorage
    request.AffectedSOPInstanceUID, request.DataSet = "1.2.3", BytesIO(b"x")
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    ((_, payload),) = next(message.encode_msg(1, 0)).presentation_data_value_list
    found = fast_store._read_command(payload[1:])
    assert fast_store._number(found, 0x0110) == 9
    assert fast_store._number(found, 0x0100) == 1
    assert fast_store._text(found, 0x1000) == "1.2.3"


@pytest.mark.parametrize("payload", [b"\0\0\0\1\x09\0\0\0\1", b"\1\0\0\0\0\0\0\0", b"\0\0\0\1\xff\xff\xff\xff"])
def test_what_is_no_command(payload):
    with pytest.raises(fast_store._Wrong):
        fast_store._read_command(payload)


@pytest.mark.parametrize("size", [7, 100, 1000, 16382, 131072])
def test_objects_come_whole_whatever_the_size_of_their_pieces(tmp_path, size):
    """Pieces end in the middle of commands, heads and data; echoes in between go the other way."""
    limits = ReceiverLimits(inbox=InboxLimits(quiet_s=0.0, min_free_bytes=0))
    with Receiver(tmp_path / "inbox", 0, "MEDKD", host="127.0.0.1", limits=limits) as receiver:
        entity = AE("PEER")
        entity.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.1")
        entity.add_requested_context(Verification)
        association = entity.associate("127.0.0.1", receiver.port, ae_title="MEDKD")
        association.acceptor.primitive.maximum_length_received = size  # the sender keeps to what it was told
        sent = [small_object("1.2.3", "1.2.4", number) for number in range(1, 4)]
        for one in sent:
            assert association.send_c_store(one).Status == 0
            assert association.send_c_echo().Status == 0
        association.release()
        (folder,) = wait_for(receiver.release)
        from pydicom import dcmread

        got = {one.SOPInstanceUID: one for one in map(dcmread, folder.iterdir())}
        assert all(got[one.SOPInstanceUID].PixelData == one.PixelData for one in sent)


def test_answers_do_not_wait_for_more_to_say(tmp_path):
    limits = ReceiverLimits(inbox=InboxLimits(min_free_bytes=0))
    with Receiver(tmp_path / "inbox", 0, "MEDKD", host="127.0.0.1", limits=limits) as receiver:
        seen = []
        receiver._server.bind(
            evt.EVT_CONN_OPEN, lambda event: seen.append(event.assoc.dul.socket.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        )
        entity = AE("PEER")
        entity.add_requested_context(Verification)
        association = entity.associate("127.0.0.1", receiver.port, ae_title="MEDKD")
        association.release()
        assert seen
        assert all(seen)
