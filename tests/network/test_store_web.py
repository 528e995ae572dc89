"""STOW-RS: what an archive names as failed, and requests of a bounded size; storing in Orthanc is in test_send.py."""

import pytest

from data_contracts import NetworkError
from medkd.network import store_web
from medkd.network.outgoing import outgoing_objects
from medkd.network.store_web import WebOutlet
from tests.network.peers import write_study


def test_what_the_archive_names_as_failed_was_refused(tmp_path, monkeypatch):
    write_study(tmp_path / "set", 3)
    objects = outgoing_objects(tmp_path / "set")
    outlet, sent, asked = WebOutlet("http://127.0.0.1:1/x"), [], []

    def store(payloads):
        asked.append(len(list(payloads)))
        return {objects[1].sop_instance_uid: 0xA700}

    monkeypatch.setattr(outlet._archive, "store", store)
    assert outlet.send(objects, sent.append) == {objects[1].sop_instance_uid: "refused, failure reason 0xA700"}
    assert sent == [objects[0], objects[2]]
    assert asked == [3]
    two = sum(one.path.stat().st_size for one in objects[:2])  # identifiers are of random length: no two objects are of one size
    monkeypatch.setattr(store_web, "_MOST_BYTES", two)
    outlet.send(objects, sent.append)
    assert asked == [3, 2, 1]


def test_a_real_answer_of_orthanc_to_what_is_no_dicom(orthanc):
    from medkd.network.dicomweb import WebArchive

    with pytest.raises(NetworkError) as caught:
        WebArchive(orthanc.web).store([b"no DICOM"])
    assert caught.value.code == "PEER_REFUSED"
