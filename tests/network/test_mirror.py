"""The mirror by itself, with an archive of two lines; what real ones do is in test_dicomweb.py and test_dimse.py."""

from __future__ import annotations

import pytest

from data_contracts import NetworkError
from medkd.network.addresses import StudySource, WebPeer
from medkd.network.mirror import Instance, StudyMirror, bring_studies, mirror_of
from medkd.network.retry import Retries, Transient
from tests.network.peers import write_study

QUICK = Retries(attempts=2, first_wait_s=0.0)
SOURCE = StudySource(WebPeer("https://pacs/x"), (("PatientID", "Somebody"),))


class Archive:
    def __init__(self, studies):
        self.held = studies

    def studies(self, keys):
        return list(self.held)

    def instances(self, study):
        return [Instance("1.9", one.SOPInstanceUID) for one in self.held[study]]

    def fetch(self, study, wanted, mirror):
        for one in wanted:
            path = next(held.filename for held in self.held[study] if held.SOPInstanceUID == one.sop_instance_uid)
            with open(path, "rb") as stream:
                mirror.keep((stream.read(),), one.sop_instance_uid)


def studies(tmp_path, *uids):
    from pydicom import dcmread

    return {uid: [dcmread(path) for path in write_study(tmp_path / uid, 2, uid)] for uid in uids}


def test_studies_that_an_archive_no_longer_names_are_removed(tmp_path):
    archive = Archive(studies(tmp_path, "1.2.3", "1.2.4"))
    said = []
    folder = bring_studies(SOURCE, archive, retries=QUICK, min_free_bytes=0, said=said.append)
    assert sorted(path.name for path in folder.iterdir()) == ["1.2.3", "1.2.4"]
    assert said == ["study 1.2.3: 2 objects", "study 1.2.4: 2 objects"]
    del archive.held["1.2.4"]
    assert [path.name for path in bring_studies(SOURCE, archive, retries=QUICK, min_free_bytes=0).iterdir()] == ["1.2.3"]


def test_half_an_object_of_a_killed_process_is_none(tmp_path):
    archive = Archive(studies(tmp_path, "1.2.3"))
    mirror = StudyMirror(mirror_of(SOURCE) / "studies" / "1.2.3", min_free_bytes=0)
    (mirror.folder / ".1.2.9.17.part").write_bytes(b"half")
    folder = bring_studies(SOURCE, archive, retries=QUICK, min_free_bytes=0)
    assert sorted(path.name for path in (folder / "1.2.3").iterdir()) == sorted(
        f"{one.SOPInstanceUID}.dcm" for one in archive.held["1.2.3"]
    )


def test_what_an_archive_says_decides_what_is_raised(tmp_path):
    class Failing(Archive):
        def fetch(self, study, wanted, mirror):
            trouble = Transient()
            trouble.__cause__ = NetworkError("PEER_UNREACHABLE", f"expected {study}")
            raise trouble

    with pytest.raises(NetworkError) as caught:
        bring_studies(SOURCE, Failing(studies(tmp_path, "1.2.3")), retries=QUICK, min_free_bytes=0)
    assert caught.value.code == "PEER_UNREACHABLE"
    with pytest.raises(NetworkError) as caught:
        bring_studies(SOURCE, Archive({"1.2.3": []}), retries=QUICK, min_free_bytes=0)
    assert caught.value.code == "PARTIAL_STUDY"
    with pytest.raises(NetworkError) as caught:
        bring_studies(SOURCE, Archive({f"1.{number}": [] for number in range(1, 1200)}), retries=QUICK, min_free_bytes=0)
    assert caught.value.code == "TOO_MANY_STUDIES"
    with pytest.raises(NetworkError) as caught:
        bring_studies(SOURCE, Archive({"../x": []}), retries=QUICK, min_free_bytes=0)
    assert caught.value.code == "PEER_ANSWER"


def test_names_of_people_are_in_no_name_of_a_folder_and_in_no_sentence(tmp_path):
    assert "Somebody" not in str(mirror_of(SOURCE))
    with pytest.raises(NetworkError) as caught:
        bring_studies(SOURCE, Archive({}), retries=QUICK)
    assert caught.value.code == "NO_STUDY"
    assert "Somebody" not in str(caught.value)
