"""C-FIND, C-GET and C-MOVE with Orthanc, and with providers that fail in the middle."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as Get
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as Move

from data_contracts import NetworkError
from medkd.network.addresses import DimsePeer, StudySource
from medkd.network.dimse import DimseArchive
from medkd.network.mirror import bring_studies
from medkd.network.retry import Retries
from tests.network.peers import free_port, send, write_study

QUICK = Retries(attempts=3, first_wait_s=0.05)


def bring(peer, study="1.2.3.4", move=None):
    source = StudySource(peer, (("StudyInstanceUID", study),), move)
    return bring_studies(source, DimseArchive(peer, move=move), retries=QUICK, min_free_bytes=0)


def objects_in(folder, study="1.2.3.4"):
    return {one.SOPInstanceUID: one for one in map(dcmread, (folder / study).iterdir())}


@pytest.mark.parametrize("moved", [False, True])
def test_a_study_of_orthanc_comes_whole(orthanc, tmp_path, moved):
    sent = write_study(tmp_path / "sent", 5, "1.2.3.4")
    write_study(tmp_path / "sent", 0, "1.2.3.4")
    send(tmp_path / "sent", orthanc.dicom, "ORTHANC")
    peer = DimsePeer("ORTHANC", "127.0.0.1", orthanc.dicom)
    folder = bring(peer, move=("MEDKD", orthanc.calls_back) if moved else None)
    assert objects_in(folder) == {one.SOPInstanceUID: one for one in map(dcmread, sent)}
    assert [path.name for path in folder.iterdir()] == ["1.2.3.4"]


def test_a_name_that_the_archive_has_not(orthanc):
    with pytest.raises(NetworkError) as caught:
        bring(DimsePeer("SOMEBODY", "127.0.0.1", orthanc.dicom))
    assert caught.value.code == "CALLED_AE_UNKNOWN"
    with pytest.raises(NetworkError) as caught:
        bring(DimsePeer("ORTHANC", "127.0.0.1", free_port()))
    assert caught.value.code == "PEER_UNREACHABLE"
    with pytest.raises(NetworkError) as caught:
        bring(DimsePeer("ORTHANC", "127.0.0.1", orthanc.dicom), "9.9")
    assert caught.value.code == "NO_STUDY"


class Provider:
    """An archive of one study that does what ``faults`` say for each retrieval."""

    def __init__(self, paths, back=None):
        self.objects = {str(one.SOPInstanceUID): one for one in map(dcmread, paths)}
        self.back, self.faults, self.asked = back, [], []
        self.find_status = 0x0000

    def find(self, event):
        if self.find_status:
            yield self.find_status, None
            return
        for uid in self.objects:
            found = Dataset()
            found.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
            found.StudyInstanceUID, found.SeriesInstanceUID, found.SOPInstanceUID = "1.2.3.4", "1.2.9", uid
            found.SOPClassUID = self.objects[uid].SOPClassUID
            yield 0xFF00, found
            if found.QueryRetrieveLevel != "IMAGE":
                return

    def wanted(self, event):
        names = event.identifier.SOPInstanceUID
        names = [names] if isinstance(names, str) else list(names)
        self.asked.append(len(names))
        return names, (self.faults.pop(0) if self.faults else None)

    def get(self, event):
        names, fault = self.wanted(event)
        yield len(names)
        for number, name in enumerate(names):
            if fault == "abort" and number == 2:
                event.assoc.abort()
                return
            if fault == "refuse":
                yield 0xA701, None
                return
            if fault == "less" and number >= 1:
                return
            if fault == "slow":
                time.sleep(0.3)
            one = self.objects[name]
            if fault == "truncated" and number == 1:
                one = dcmread(one.filename)
                one.PixelData = one.PixelData[:10]
                one = Broken(one)
            yield 0xFF00, one

    def move(self, event):
        names, fault = self.wanted(event)
        if fault == "unknown":
            yield None, None
            return
        yield "127.0.0.1", self.back
        yield len(names)
        for number, name in enumerate(names):
            if fault == "less" and number >= 1:
                return
            yield 0xFF00, self.objects[name]


def Broken(one):
    """Return an object whose announced identifier is another one's."""
    one.SOPInstanceUID = "1.2.3.9999"
    return one


@contextmanager
def providing(paths, **options):
    provider = Provider(paths, **options)
    entity = AE("ARCHIVE")
    for one in (Find, Get, Move):
        entity.add_supported_context(one)
    for one in StoragePresentationContexts:
        entity.add_supported_context(one.abstract_syntax, scu_role=True, scp_role=True)
        entity.add_requested_context(one.abstract_syntax) if len(entity.requested_contexts) < 128 else None
    handlers = [(evt.EVT_C_FIND, provider.find), (evt.EVT_C_GET, provider.get), (evt.EVT_C_MOVE, provider.move)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield provider, DimsePeer("ARCHIVE", "127.0.0.1", server.server_address[1])
    finally:
        entity.shutdown()


@pytest.fixture
def paths(tmp_path):
    return write_study(tmp_path / "sent", 4, "1.2.3.4")


@pytest.mark.parametrize("fault", ["abort", "less", "slow", "truncated", "refuse"])
def test_what_is_missing_is_asked_for_again_and_nothing_else(paths, fault):
    with providing(paths) as (provider, peer):
        provider.faults = [fault]
        assert set(objects_in(bring(peer))) == set(provider.objects)
        came = {"abort": 2, "less": 1, "slow": 4, "truncated": 3, "refuse": 0}[fault]
        assert provider.asked == ([4] if came == 4 else [4, 4 - came])
        before = list(provider.asked)
        bring(peer)
        assert provider.asked == before


def test_an_archive_that_never_sends_all_of_it(paths):
    with providing(paths) as (provider, peer):
        provider.faults = ["less", "refuse", "refuse"]
        with pytest.raises(NetworkError) as caught:
            bring(peer)
        assert caught.value.code == "PARTIAL_STUDY"
        assert "1 came" in str(caught.value)
        assert len(objects_in(bring(peer))) == 4
        assert provider.asked[-1] == 3


@pytest.mark.parametrize("fault", [None, "less"])
def test_objects_that_are_moved_to_us(paths, fault):
    back = free_port()
    with providing(paths, back=back) as (provider, peer):
        provider.faults = [fault]
        folder = bring(peer, move=("MEDKD", back))
        assert set(objects_in(folder)) == set(provider.objects)


def test_an_archive_that_does_not_know_where_to_move_to(paths):
    with providing(paths, back=1) as (provider, peer):
        provider.faults = ["unknown"] * 9
        with pytest.raises(NetworkError) as caught:
            bring(peer, move=("MEDKD", free_port()))
        assert caught.value.code == "PEER_REFUSED"
        assert "0xA801" in str(caught.value)


def test_a_query_that_is_refused(paths):
    with providing(paths) as (provider, peer):
        provider.find_status = 0xC001
        with pytest.raises(NetworkError, match="0xC001") as caught:
            bring(peer)
        assert caught.value.code == "PEER_REFUSED"


def test_a_provider_without_the_service():
    entity = AE("ARCHIVE")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        with pytest.raises(NetworkError) as caught:
            bring(DimsePeer("ARCHIVE", "127.0.0.1", server.server_address[1]))
        assert caught.value.code == "NO_PRESENTATION_CONTEXT"
    finally:
        entity.shutdown()
    assert threading.active_count() < 50
