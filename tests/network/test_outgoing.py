import shutil

import pytest
from pydicom import dcmread

from data_contracts import NetworkError, SourceError
from medkd.network.outgoing import outgoing_objects
from tests.network.peers import write_study


def test_every_dicom_file_of_a_folder_and_nothing_else(tmp_path):
    paths = write_study(tmp_path / "set" / "below", 3, "1.2.3")
    (tmp_path / "set" / "notes.txt").write_text("no DICOM")
    (tmp_path / "set" / "half.dcm").write_bytes(paths[0].read_bytes()[:-9])
    shutil.copy(paths[0], tmp_path / "set" / "again.dcm")
    found = outgoing_objects(tmp_path / "set")
    assert {one.sop_instance_uid for one in found} == {dcmread(path).SOPInstanceUID for path in paths}
    assert {(one.study_instance_uid, one.transfer_syntax_uid) for one in found} == {("1.2.3", "1.2.840.10008.1.2.1")}
    assert [one.path for one in outgoing_objects(paths[1])] == [paths[1]]


def test_folders_that_cannot_be_sent(tmp_path):
    with pytest.raises(SourceError):
        outgoing_objects(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NetworkError) as caught:
        outgoing_objects(tmp_path / "empty")
    assert caught.value.code == "NOTHING_TO_SEND"
    (path,) = write_study(tmp_path / "twice", 1)
    other = dcmread(path)
    other.RescaleSlope = 2
    other.save_as(tmp_path / "twice" / "other.dcm")
    with pytest.raises(NetworkError) as caught:
        outgoing_objects(tmp_path / "twice")
    assert caught.value.code == "SEND_REPEATED"
