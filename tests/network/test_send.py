"""Objects to Orthanc and to archives that refuse, break off and are full: each once, and with what became of it."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
import requests
from pydicom import dcmread
from pydicom.uid import RLELossless
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, StoragePresentationContexts, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StudyRootQueryRetrieveInformationModelFind

from data_contracts import NetworkError, StoreError
from medkd.network.addresses import DimsePeer, WebPeer
from medkd.network.retry import Retries
from medkd.network.send import SendRequest, is_complete, send
from tests.network.peers import free_port, write_study

QUICK = Retries(attempts=3, first_wait_s=0.02)


def states(outcomes):
    return sorted(one.state for one in outcomes)


@pytest.fixture
def folder(tmp_path):
    write_study(tmp_path / "set", 4, "1.2.3.4")
    return tmp_path / "set"


@pytest.mark.parametrize("web", [False, True])
def test_what_is_sent_to_orthanc_is_there_and_is_not_sent_again(orthanc, folder, web):
    peer = WebPeer(orthanc.web) if web else DimsePeer("ORTHANC", "127.0.0.1", orthanc.dicom)
    request = SendRequest(folder, peer, commitment=False)
    assert states(send(request, retries=QUICK)) == ["sent"] * 4
    assert orthanc.instances() == 4
    found = requests.get(f"{orthanc.web}/studies/1.2.3.4/instances", timeout=10).json()
    assert {one["00080018"]["Value"][0] for one in found} == {dcmread(path).SOPInstanceUID for path in folder.iterdir()}
    before = changes(orthanc)
    assert states(send(request, retries=QUICK)) == ["known"] * 4
    (folder.parent / "set.sent.json").unlink()  # another machine, or one that was killed before it noted
    assert states(send(request, retries=QUICK)) == ["found"] * 4
    assert changes(orthanc) == before


def changes(orthanc):
    return requests.get(f"http://127.0.0.1:{orthanc.http}/changes?last", timeout=10).json()["Last"]


def test_orthanc_commits_itself_on_an_association_of_its_own(orthanc, folder):
    peer = DimsePeer("ORTHANC", "127.0.0.1", orthanc.dicom)
    request = SendRequest(folder, peer, listen=("127.0.0.1", orthanc.calls_back), wait_s=20)
    outcomes = send(request, retries=QUICK)
    assert [one.committed for one in outcomes] == [True] * 4
    assert is_complete(outcomes)
    assert [one.committed for one in send(SendRequest(folder, peer), retries=QUICK)] == [True] * 4  # it is remembered


class Peer:
    """An archive that answers each object as ``answers`` say, and commits itself or not."""

    def __init__(self):
        self.stored, self.answers, self.commits = [], [], None

    def store(self, event):
        answer = self.answers.pop(0) if self.answers else 0
        if answer == "abort":
            event.assoc.abort()
            return 0x0110
        if answer == 0 or answer == 0xB000:
            self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return answer

    def find(self, event):
        yield 0xC001, None

    def action(self, event):
        asked = event.action_information
        if self.commits is None:
            return 0x0110, None
        threading.Timer(0.1, self.report, (event.assoc, asked)).start()
        return 0, None

    def report(self, association, asked):
        from pydicom import Dataset

        report = Dataset()
        report.TransactionUID = asked.TransactionUID
        items = list(asked.ReferencedSOPSequence)
        report.ReferencedSOPSequence = items[: self.commits]
        failed = items[self.commits :]
        for one in failed:
            one.FailureReason = 0x0112
        if failed:
            report.FailedSOPSequence = failed
        association.send_n_event_report(report, 2 if failed else 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1")


@contextmanager
def running(commitment=True):
    peer = Peer()
    entity = AE("ARCHIVE")
    for one in StoragePresentationContexts:
        entity.add_supported_context(one.abstract_syntax, ALL_TRANSFER_SYNTAXES)
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    if commitment:
        entity.add_supported_context(StorageCommitmentPushModel)
    handlers = [(evt.EVT_C_STORE, peer.store), (evt.EVT_N_ACTION, peer.action), (evt.EVT_C_FIND, peer.find)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield peer, DimsePeer("ARCHIVE", "127.0.0.1", server.server_address[1])
    finally:
        entity.shutdown()


@pytest.mark.parametrize("commits", [4, 3, 0, None])
def test_commitment_on_the_same_association(folder, commits):
    with running() as (peer, address):
        peer.commits = commits
        outcomes = send(SendRequest(folder, address), retries=QUICK)
        expected = [None] * 4 if commits is None else [True] * commits + [False] * (4 - commits)
        assert [one.committed for one in outcomes] == expected
        assert is_complete(outcomes) is (commits in (4, None))
        assert states(outcomes) == ["sent"] * 4


def test_an_archive_without_commitment_or_queries_is_sent_everything(folder):
    with running(commitment=False) as (peer, address):
        assert [(one.state, one.committed) for one in send(SendRequest(folder, address), retries=QUICK)] == [("sent", None)] * 4
        assert len(peer.stored) == 4


def test_what_breaks_off_goes_on_where_it_was(folder):
    with running() as (peer, address):
        peer.answers = [0, "abort", 0, "abort"]
        assert states(send(SendRequest(folder, address), retries=QUICK)) == ["sent"] * 4
        assert len(peer.stored) == len(set(peer.stored)) == 4


def test_a_full_archive_is_asked_again_and_then_said(folder):
    with running() as (peer, address):
        peer.answers = [0, 0xA700, 0, 0]
        assert states(send(SendRequest(folder, address), retries=QUICK)) == ["sent"] * 4
    with running() as (peer, address):
        peer.answers = [0, *[0xA700] * 30]
        outcomes = send(SendRequest(folder, address), retries=QUICK)
        assert states(outcomes) == ["failed"] * 3 + ["sent"]
        assert all("for the moment" in one.reason for one in outcomes if one.state == "failed")


def test_what_is_refused_for_good_is_named_and_not_sent_over_and_over(folder):
    with running() as (peer, address):
        peer.answers = [0, 0xA900, 0xB000, 0xC000]
        outcomes = send(SendRequest(folder, address), retries=QUICK)
        assert [one.state for one in outcomes] == ["sent", "failed", "sent", "failed"]
        assert [one.reason for one in outcomes if one.reason] == ["refused, status 0xA900", "refused, status 0xC000"]
        assert not is_complete(outcomes)
        assert [one.state for one in send(SendRequest(folder, address), retries=QUICK)] == ["known", "sent", "known", "sent"]


def test_a_compressed_object_is_decoded_for_an_archive_that_takes_nothing_else(tmp_path):
    (path,) = write_study(tmp_path / "set", 1)
    one = dcmread(path)
    before = one.pixel_array
    one.compress(RLELossless, generate_instance_uid=False)
    one.save_as(path)
    got = []
    entity = AE("ARCHIVE")
    entity.add_supported_context(one.SOPClassUID, "1.2.840.10008.1.2")
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda event: got.append(event.dataset) or 0)]
    )
    try:
        address = DimsePeer("ARCHIVE", "127.0.0.1", server.server_address[1])
        assert states(send(SendRequest(tmp_path / "set", address), retries=QUICK)) == ["sent"]
    finally:
        entity.shutdown()
    assert got[0].PixelData == before.tobytes()


def test_an_archive_that_is_not_there(folder):
    with pytest.raises(NetworkError) as caught:
        send(SendRequest(folder, DimsePeer("ARCHIVE", "127.0.0.1", free_port())), retries=QUICK)
    assert caught.value.code == "PEER_UNREACHABLE"
    assert not (folder.parent / "set.sent.json").exists()


def test_a_set_that_was_altered_is_not_sent(tmp_path):
    from data_contracts import ModelRef, ResultObject, ResultSet
    from medkd.storage.store import write_bytes

    (path,) = write_study(tmp_path / "set", 1)
    one = dcmread(path)
    held = ResultObject(
        kind="report", file=path.name, sha256="0" * 64, sop_class_uid=one.SOPClassUID, sop_instance_uid=one.SOPInstanceUID, about="x"
    )
    model = ModelRef(name="m", version=1, manifest_digest="0" * 64, role="student", weights_digest="0" * 64)
    record = ResultSet(explanation="0" * 64, model=model, objects=(held,), certificate=())
    write_bytes(tmp_path / "set" / "result_set.json", record.canonical_json())
    with pytest.raises(StoreError, match="altered"):
        send(SendRequest(tmp_path / "set", DimsePeer("ARCHIVE", "127.0.0.1", 1)), retries=QUICK)
