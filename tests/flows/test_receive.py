"""What comes is handed over and ingested, and what does not come whole is not."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed; pip install '.[network]'")

from flows import receive as module
from flows.receive import Reception, receive
from medkd.dicom.ingest_cache import read_manifest
from medkd.network.receive import Receiver, ReceiverLimits
from medkd.network.study_inbox import InboxLimits
from tests.network.peers import send, wait_for, write_study

LIMITS = ReceiverLimits(inbox=InboxLimits(quiet_s=0.0, min_free_bytes=0))


@pytest.fixture
def running(tmp_path, monkeypatch):
    """Return a starter of receivers and the list of what they said."""
    monkeypatch.setattr(module, "LOOK_S", 0.1)
    monkeypatch.setattr(module, "_SETTLE_S", 0.1)
    heard, ends = [], []

    def start(store):
        stop, receiver = threading.Event(), Receiver(tmp_path / "inbox", 0, "MEDKD", host="127.0.0.1", limits=LIMITS)
        receiver.__enter__()
        thread = threading.Thread(target=receive, args=(receiver, Reception(store), heard.append, stop))
        thread.start()

        def end():
            stop.set()
            thread.join()
            receiver.__exit__(None, None, None)

        ends.append(end)
        return receiver, end

    yield start, heard
    for end in ends[-1:]:
        end()


def test_a_study_is_received_and_ingested_and_later_images_too(running, tmp_path):
    start, heard = running
    receiver, _ = start(tmp_path / "store")
    paths = write_study(tmp_path / "sent", 6, "1.2.3.4")
    (tmp_path / "late").mkdir()
    paths[-1].rename(tmp_path / "late" / "one.dcm")
    assert send(tmp_path / "sent", receiver.port).returncode == 0
    wait_for(lambda: [one for one in heard if one.what == "ingested"], 20)
    assert [(one.what, one.objects) for one in heard] == [("received", 5), ("ingested", 5)]
    assert read_manifest(tmp_path / "store").volumes[0].geometry.shape[0] == 5
    assert send(tmp_path / "late", receiver.port).returncode == 0
    wait_for(lambda: len([one for one in heard if one.what == "ingested"]) == 2, 20)
    assert {one.geometry.shape[0] for one in read_manifest(tmp_path / "store").volumes} == {6}


def test_half_a_study_is_said_once_and_not_ingested(running, tmp_path):
    start, heard = running
    receiver, end = start(tmp_path / "store")
    write_study(tmp_path / "sent", 3)
    association = receiver.inbox.association("CT1")
    from tests.network.test_study_inbox import store

    store(association, next((tmp_path / "sent").iterdir()))
    association.end(well=False)
    wait_for(lambda: heard)
    end()
    assert [(one.what, one.code, one.objects) for one in heard] == [("partial", "PARTIAL_STUDY", 1)]
    assert not (tmp_path / "store" / "manifest.json").exists()
    receiver, _ = start(tmp_path / "store")  # as after a kill: said again, and mended by its sender
    assert send(tmp_path / "sent", receiver.port, "MEDKD", "-aet", "CT1").returncode == 0
    wait_for(lambda: [one for one in heard if one.what == "ingested"], 20)
    assert heard[-1].objects == 3


def test_what_is_no_dicom_study_does_not_keep_others_waiting(running, tmp_path):
    start, heard = running
    (tmp_path / "inbox" / "elsewhere").mkdir(parents=True)
    (tmp_path / "inbox" / "elsewhere" / "manifest.json").write_text('{"schema_version":"store/1"}')
    receiver, _ = start(tmp_path / "store")
    write_study(tmp_path / "sent", 3)
    send(tmp_path / "sent", receiver.port)
    wait_for(lambda: [one for one in heard if one.what == "ingested" and one.objects == 3], 20)
    assert [(one.study, one.code) for one in heard if one.what == "refused"] == [("elsewhere", "SOURCE_IS_STORE")]
