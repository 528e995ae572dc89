"""The whole way of a study: into the archive, to the receiver, asked about, and its results back to the archive's own study."""

from __future__ import annotations

import io
import os
import shutil
import time

import numpy as np
import pydicom
import pytest
import requests

from data_contracts import IngestPolicy, NetworkError, ResultSet, load_record
from flows.ingest_watch import ingest_watch
from flows.return_results import Returned, return_results
from flows.run_champion import run_champion
from flows.site import Site
from medkd.network.receive import Receiver, ReceiverLimits
from medkd.network.study_inbox import InboxLimits
from medkd.results.readers import read_segments_by_position, read_segments_dcmqi
from medkd.results.write_results import RECORD
from medkd.storage.output import INBOX, claim
from tests.network.peers import program, running_orthanc
from tests.network.peers import send as storescu

pytestmark = pytest.mark.xdist_group("demo")
MODEL = "models:/phantom-segmentation-teacher/1"


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_SECRET", "of the tests")
    monkeypatch.setenv("MEDKD_OHIF", str(tmp_path / "absent"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Site.claimed(tmp_path / "site")


def images_of(folder):
    return [path for path in folder.rglob("*.dcm") if pydicom.dcmread(path, stop_before_pixels=True).Modality != "SEG"]


@pytest.fixture
def study(smoke, tmp_path):
    """Return a folder of one study's images, without what was drawn on them."""
    (tmp_path / "sent").mkdir()
    for path in images_of(smoke.folder / "dicom" / "study001"):
        shutil.copyfile(path, tmp_path / "sent" / path.name)
    return tmp_path / "sent"


def by_dimse(site, orthanc, study, tmp_path):
    """Archive and receiver get the study by C-STORE."""
    assert storescu(study, orthanc.dicom, "ORTHANC").returncode == 0
    inbox = claim(tmp_path / "inbox", INBOX)
    with Receiver(inbox, 0, "MEDKD", host="127.0.0.1", limits=ReceiverLimits(inbox=InboxLimits(quiet_s=0.2))) as receiver:
        assert storescu(study, receiver.port).returncode == 0
        until = time.monotonic() + 20
        while not receiver.release() and time.monotonic() < until:
            time.sleep(0.1)
    for path in inbox.rglob("*"):
        os.utime(path, (1, 1))
    taken = ingest_watch(site, inbox, 0.0, IngestPolicy())
    assert len(taken.accepted) == 1
    return f"ORTHANC@127.0.0.1:{orthanc.dicom}"


def by_web(site, orthanc, study, here):
    """The archive has the study, and it is fetched from there."""
    assert here("send", study, "--to", orthanc.web)[0] == 0
    uid = pydicom.dcmread(next(study.iterdir()), stop_before_pixels=True).StudyInstanceUID
    status, _, said = here("ingest", f"{orthanc.web.replace('http://', 'dicomweb://')}?StudyInstanceUID={uid}", "--out", site.store)
    assert status == 0, said
    return orthanc.web


@pytest.mark.parametrize("protocol", ["dimse", pytest.param("web", marks=pytest.mark.extended)])
def test_results_land_on_the_original_study_and_open_there(smoke, site, study, here, tmp_path, protocol):
    program("storescu")
    with running_orthanc(tmp_path / "orthanc") as orthanc:
        to = by_dimse(site, orthanc, study, tmp_path) if protocol == "dimse" else by_web(site, orthanc, study, here)
        (entry,) = run_champion(site, smoke.summary["tracking_uri"], (MODEL,))
        assert entry.outcome == "reported"
        assert entry.findings > 0
        done = return_results(site, to)
        assert (done.written, done.sent, [(one.code, one.reason) for one in done.refused]) == (1, 1, [])
        (entry,) = site.worklist().entries
        assert entry.returned_to == to
        place = site.root / str(entry.results)
        published = load_record(place / RECORD, ResultSet)
        image = pydicom.dcmread(next(study.iterdir()), stop_before_pixels=True)
        found = requests.get(f"{orthanc.web}/studies?StudyInstanceUID={image.StudyInstanceUID}", timeout=10).json()
        assert len(found) == 1  # on the study, no second one beside it
        held = requests.get(f"{orthanc.web}/studies/{image.StudyInstanceUID}/instances", timeout=10).json()
        uids = {one["00080018"]["Value"][0]: one["0020000E"]["Value"][0] for one in held}
        # Orthanc 1.10 takes no label maps by C-STORE; the binary segmentation says the same.
        taken = [one for one in published.objects if protocol == "web" or one.kind != "labelmap"]
        assert set(uids) == {*(pydicom.dcmread(path).SOPInstanceUID for path in study.iterdir()), *(one.sop_instance_uid for one in taken)}
        assert return_results(site, to) == Returned()  # and not twice
        for one in taken:
            if one.kind in ("segmentation", "labelmap"):
                got = f"{orthanc.web}/studies/{image.StudyInstanceUID}/series/{uids[one.sop_instance_uid]}/instances/{one.sop_instance_uid}"
                answer = requests.get(got, headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}, timeout=30)
                opens_as_written(answer, place / one.file, tmp_path / "back.dcm", site, entry)


def opens_as_written(answer, written, back, site, entry):
    """Compare an object that the archive gave back with the one that was published, by two readers."""
    boundary = answer.headers["Content-Type"].split("boundary=")[1].split(";")[0].strip('"')
    part = answer.content.split(f"--{boundary}".encode())[1]
    back.write_bytes(part[part.index(b"\r\n\r\n") + 4 :].removesuffix(b"\r\n"))
    assert pydicom.dcmread(io.BytesIO(back.read_bytes())).PatientID == pydicom.dcmread(written).PatientID
    from medkd.dicom.ingest_cache import read_manifest

    (volume,) = [one for one in read_manifest(site.store).volumes if one.series_key == entry.series_key]
    own = read_segments_by_position(written, volume.geometry)
    assert own.any()
    for read in (read_segments_by_position, read_segments_dcmqi):
        assert np.array_equal(read(back, volume.geometry), own)


@pytest.mark.extended
def test_an_archive_that_is_away_or_images_that_are_gone_are_said_and_tried_again(smoke, site, study, here, tmp_path):
    assert here("ingest", study, "--out", site.store)[0] == 0
    assert run_champion(site, smoke.summary["tracking_uri"], (MODEL,))[0].outcome == "reported"
    study.rename(tmp_path / "moved")
    assert [one.code for one in return_results(site, None).refused] == ["SOURCE_MISSING"]
    (tmp_path / "moved").rename(study)
    done = return_results(site, "AWAY@127.0.0.1:1")
    assert (done.written, done.sent, [one.code for one in done.refused]) == (1, 0, ["PEER_UNREACHABLE"])
    (entry,) = site.worklist().entries
    assert (entry.results is None, entry.returned_to) == (False, None)
    with pytest.raises(NetworkError, match="expected"):
        return_results(site, "nowhere")
