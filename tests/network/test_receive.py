"""A receiver beside senders that do what they should, and senders that do not."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification

from data_contracts import NetworkError
from medkd.network.fast_store import _Storing
from medkd.network.receive import Receiver, ReceiverLimits
from medkd.network.study_inbox import InboxLimits
from tests.network.peers import send, small_object, wait_for, write_study

QUICK = ReceiverLimits(timeout_s=2.0, inbox=InboxLimits(quiet_s=0.0, min_free_bytes=0))


@pytest.fixture
def receiver(tmp_path):
    with Receiver(tmp_path / "inbox", 0, "MEDKD", host="127.0.0.1", limits=QUICK) as one:
        yield one


def released(receiver):
    return wait_for(receiver.release)


def associate(port, called="MEDKD", syntaxes=("1.2.840.10008.1.2.1",), calling="PEER"):
    entity = AE(calling)
    entity.add_requested_context(CTImageStorage, list(syntaxes))
    entity.add_requested_context(Verification)
    return entity.associate("127.0.0.1", port, ae_title=called)


def test_a_study_from_storescu_is_there_voxel_by_voxel(receiver, tmp_path):
    sent = write_study(tmp_path / "sent", 5)
    assert send(tmp_path / "sent", receiver.port).returncode == 0
    (folder,) = released(receiver)
    got = {one.SOPInstanceUID: one for one in map(dcmread, folder.iterdir())}
    for one in map(dcmread, sent):
        assert got[one.SOPInstanceUID] == one
        assert got[one.SOPInstanceUID].file_meta.TransferSyntaxUID == one.file_meta.TransferSyntaxUID


@pytest.mark.parametrize("option", ["-xi", "-xe", "-xb", "-xd"])
def test_every_plain_encoding_comes_as_it_was_sent(receiver, tmp_path, option):
    (sent,) = write_study(tmp_path / "sent", 1)
    assert send(tmp_path / "sent", receiver.port, "MEDKD", option).returncode == 0
    (folder,) = released(receiver)
    (path,) = folder.iterdir()
    assert dcmread(path).pixel_array.tolist() == dcmread(sent).pixel_array.tolist()


def test_compressed_objects_and_those_of_other_classes_are_taken_as_they_are(receiver):
    one = small_object("1.2.3", "1.2.4", 1, "1.2.840.10008.1.2.1")
    one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.5"
    from pydicom.encaps import encapsulate

    one.PixelData = encapsulate([b"\0" * 64])
    one["PixelData"].is_undefined_length = True
    one["PixelData"].VR = "OB"
    entity = AE("PEER")
    entity.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.5")
    entity.add_requested_context("1.3.12.2.1107.5.9.1", "1.2.840.10008.1.2.1")  # a private class (Siemens CSA Non-Image)
    association = entity.associate("127.0.0.1", receiver.port, ae_title="MEDKD")
    assert {str(context.abstract_syntax) for context in association.accepted_contexts} == {CTImageStorage, "1.3.12.2.1107.5.9.1"}
    assert association.send_c_store(one).Status == 0
    association.release()
    (folder,) = released(receiver)
    (path,) = folder.iterdir()
    assert dcmread(path).PixelData == one.PixelData


def test_it_answers_whether_it_is_there(receiver):
    association = associate(receiver.port)
    assert association.send_c_echo().Status == 0
    association.release()


def test_another_name_is_refused(receiver):
    association = associate(receiver.port, called="OTHER")
    assert association.is_rejected
    assert association.acceptor.primitive.diagnostic == 7


def test_more_associations_than_allowed_are_refused_for_the_moment(tmp_path):
    limits = ReceiverLimits(associations=2, inbox=QUICK.inbox)
    with Receiver(tmp_path / "inbox", 0, "MEDKD", host="127.0.0.1", limits=limits) as receiver:
        held = [associate(receiver.port) for _ in range(2)]
        refused = associate(receiver.port)
        assert refused.is_rejected
        assert refused.acceptor.primitive.result == 2
        for one in held:
            one.release()
        wait_for(lambda: associate(receiver.port).is_established)


def test_an_abort_in_the_middle_leaves_nothing_that_is_taken_for_whole(receiver, tmp_path):
    sent = write_study(tmp_path / "sent", 4)
    association = associate(receiver.port)
    for path in sent[:2]:
        assert association.send_c_store(dcmread(path)).Status == 0
    association.abort()
    wait_for(lambda: receiver.inbox.open_associations() == 0)
    assert receiver.release() == []
    assert [one.objects for one in receiver.inbox.waiting()] == [2]
    again = associate(receiver.port)
    for path in sent:
        assert again.send_c_store(dcmread(path)).Status == 0
    again.release()
    (folder,) = released(receiver)
    assert len(list(folder.iterdir())) == 4


class RawPeer:
    """A sender that speaks byte by byte, to stop wherever it likes."""

    def __init__(self, port):
        self.association = associate(port)
        self.socket = self.association.dul.socket.socket

    def begin(self, path, share):
        """Send the begin of an object and nothing more."""
        from io import BytesIO

        from pynetdicom.dimse_messages import C_STORE_RQ
        from pynetdicom.dimse_primitives import C_STORE

        one = dcmread(path)
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
        payload = path.read_bytes()
        from medkd.network.whole_dataset import meta_of

        data = payload[meta_of(payload)[0] :]
        request.DataSet = BytesIO(data[: int(len(data) * share)])
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        context = next(one.context_id for one in self.association.accepted_contexts if one.abstract_syntax == CTImageStorage)
        fragments = list(message.encode_msg(context, 512))
        for fragment in fragments[:-1]:
            self.association.dul.send_pdu(fragment)
        return fragments[-1]


def test_an_object_that_breaks_off_was_never_there(receiver, tmp_path):
    (sent,) = write_study(tmp_path / "sent", 1)
    peer = RawPeer(receiver.port)
    peer.begin(sent, 1.0)
    wait_for(lambda: list(receiver.inbox.parts.iterdir()))
    peer.socket.close()
    wait_for(lambda: receiver.inbox.open_associations() == 0)
    assert list(receiver.inbox.parts.iterdir()) == []
    assert receiver.inbox.waiting() == []


def test_a_truncated_object_is_refused_and_its_sender_is_told(receiver, tmp_path):
    (sent,) = write_study(tmp_path / "sent", 1)
    peer = RawPeer(receiver.port)
    peer.association._reactor_checkpoint.clear()
    last = peer.begin(sent, 0.6)
    peer.association.dul.send_pdu(last)
    _, answer = peer.association.dimse.get_msg(block=True)
    assert answer.Status == 0xC000
    peer.association._reactor_checkpoint.set()
    peer.association.release()
    assert receiver.inbox.waiting() == []


def test_a_sender_that_stops_in_the_middle_is_let_go(receiver, tmp_path):
    (sent,) = write_study(tmp_path / "sent", 1)
    peer = RawPeer(receiver.port)
    peer.begin(sent, 1.0)
    wait_for(lambda: receiver.inbox.open_associations() == 1)
    begin = time.monotonic()
    wait_for(lambda: receiver.inbox.open_associations() == 0, 10)
    assert time.monotonic() - begin < 6
    assert list(receiver.inbox.parts.iterdir()) == []


def test_a_sender_that_stops_inside_of_a_pdu_is_let_go(receiver):
    association = associate(receiver.port)
    association.dul.socket.socket.sendall(b"\x04\0\0\0\x03\xe8" + bytes(10))
    wait_for(lambda: receiver._server.active_associations)
    # The thread of the socket too, which waits for the rest of the PDU.
    wait_for(lambda: not [one for one in threading.enumerate() if isinstance(one, _Storing)], 4)
    assert receiver._server.active_associations == []


def test_a_sender_that_says_nothing_keeps_nobody_waiting(receiver):
    with socket.create_connection(("127.0.0.1", receiver.port)):
        association = associate(receiver.port)
        assert association.is_established
        association.release()


STRANGERS = {
    "web": b"GET / HTTP/1.0\r\n\r\n",
    "nothing": b"\x04\0\0\0\0\0",
    "four gigabytes": b"\x01\0\xff\xff\xff\xff",
    "noise": bytes(range(256)) * 40,
}


@pytest.mark.parametrize("payload", STRANGERS.values(), ids=STRANGERS)
def test_whatever_strangers_send_the_next_one_is_served(receiver, payload):
    with socket.create_connection(("127.0.0.1", receiver.port)) as unknown:
        begin = time.monotonic()
        unknown.sendall(payload)
    association = associate(receiver.port)
    assert association.send_c_echo().Status == 0
    association.release()
    assert time.monotonic() - begin < 5


def test_pdus_of_nonsense_within_an_association_abort_it(receiver):
    for payload in (
        b"\x04\0\0\0\0\x06\0\0\0\0\1\3",
        b"\x04\0\0\0\0\x02\0\0",
        b"\x04\0\xff\xff\xff\xff",
        b"\x04\0\0\0\0\x0a\0\0\0\x06\1\3\1\2\3\4",
        b"\x09\0\0\0\0\0",
    ):
        association = associate(receiver.port)
        association.dul.socket.socket.sendall(payload)
        wait_for(lambda association=association: association.is_aborted or not association.is_alive())
    association = associate(receiver.port)
    assert association.send_c_echo().Status == 0
    association.release()


def test_a_full_disk_is_said(tmp_path):
    limits = ReceiverLimits(inbox=InboxLimits(min_free_bytes=1 << 60))
    with Receiver(tmp_path / "inbox", 0, "MEDKD", host="127.0.0.1", limits=limits) as receiver:
        association = associate(receiver.port)
        answer = association.send_c_store(small_object("1.2.3", "1.2.4"))
        assert answer.Status == 0xA700
        assert "disk" in answer.ErrorComment
        association.release()
        assert receiver.inbox.waiting() == []


def test_two_receivers_do_not_share_an_inbox(receiver, tmp_path):
    with pytest.raises(NetworkError) as caught, Receiver(tmp_path / "inbox", 0, "MEDKD"):
        raise AssertionError
    assert caught.value.code == "RECEIVER_RUNNING"
    with pytest.raises(NetworkError) as caught, Receiver(tmp_path / "other", receiver.port, "MEDKD", host="127.0.0.1"):
        raise AssertionError
    assert caught.value.code == "PORT_TAKEN"


def test_several_senders_at_once(receiver, tmp_path):
    folders = [tmp_path / f"sent-{number}" for number in range(4)]
    for folder in folders:
        write_study(folder, 10)
    threads = [threading.Thread(target=send, args=(folder, receiver.port)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: receiver.inbox.open_associations() == 0)
    receiver.release()
    assert [len(list(path.iterdir())) for path in (tmp_path / "inbox").iterdir() if path.is_dir() and path.name[0] != "."] == [10] * 4
    assert os.listdir(receiver.inbox.parts) == []
