import pytest

from data_contracts import NetworkError
from medkd.network.addresses import parse_source
from medkd.network.archives import bring, open_archive
from medkd.network.dicomweb import WebArchive
from medkd.network.dimse import DimseArchive
from tests.network.peers import send, write_study


def test_a_uri_opens_the_archive_that_it_names():
    assert isinstance(open_archive(parse_source("dicomwebs://h/x?StudyInstanceUID=1")), WebArchive)
    assert isinstance(open_archive(parse_source("dimse://A@h:1?StudyInstanceUID=1")), DimseArchive)


def test_a_uri_brings_studies_by_either_protocol(orthanc, tmp_path):
    write_study(tmp_path / "sent", 3, "1.2.3.4")
    send(tmp_path / "sent", orthanc.dicom, "ORTHANC")
    found = [
        bring(f"dimse://ORTHANC@127.0.0.1:{orthanc.dicom}?StudyInstanceUID=1.2.3.4"),
        bring(f"{orthanc.web.replace('http', 'dicomweb', 1)}?StudyInstanceUID=1.2.3.4"),
    ]
    names = [sorted(path.name for path in (folder / "1.2.3.4").iterdir()) for folder in found]
    assert names[0] == names[1]
    assert len(names[0]) == 3


def test_certificates_are_those_that_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDKD_TLS", str(tmp_path / "nothing"))
    with pytest.raises(NetworkError) as caught:
        open_archive(parse_source("dicomwebs://h/x?StudyInstanceUID=1"))
    assert caught.value.code == "TLS_FILES"
