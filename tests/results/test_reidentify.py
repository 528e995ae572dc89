"""Results of a published study are led back to the original one, whole or not at all."""

from __future__ import annotations

import hashlib

import numpy as np
import pydicom
import pytest
import requests
from pydicom import Dataset, Sequence

from data_contracts import ModelRef, OutputError, ResultObject, ResultSet, SourceError, VaultError, load_record
from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from medkd.dicom.confidentiality.vault import read_log
from medkd.dicom.write_seg import complete, write_seg
from medkd.network.addresses import WebPeer
from medkd.network.send import SendRequest, send
from medkd.phantom.dicom_faults import write_case
from medkd.results.readers import validate
from medkd.results.reidentify import reidentify_results
from medkd.results.write_results import write_results
from tests.network.peers import running_orthanc

#: Keyed names have one component, which highdicom finds unlikely.
pytestmark = pytest.mark.filterwarnings("ignore:The string:UserWarning")
PATIENT = {
    "PatientName": "Grübelmüller^Zoë",
    "PatientID": "MRN4821377",
    "PatientBirthDate": "19500515",
    "AccessionNumber": "ACC4821",
    "StudyID": "S77",
    "ReferringPhysicianName": "Lefèvre^Édith",
    "StudyDate": "20200229",
    "StudyTime": "231500",
    "IssuerOfPatientID": "HOSPITAL",
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return the originals of a study, and a result set that was made of it as it was published."""
    monkeypatch.setenv("MEDKD_VAULT_KEY", str(tmp_path / "keys" / "vault.key"))
    for path in write_case(tmp_path / "in", "regular"):
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet = "ISO_IR 100"
        for keyword, value in PATIENT.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)
    originals = sorted((pydicom.dcmread(path) for path in (tmp_path / "in").iterdir()), key=lambda one: one.ImagePositionPatient[2])
    deidentify_folder(DeidentifyRequest(tmp_path / "in", tmp_path / "out", vault=tmp_path / "vault"), secret=b"k")
    images = sorted((pydicom.dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")), key=lambda one: one.ImagePositionPatient[2])
    complete(images)
    labels = np.zeros((len(images), images[0].Rows, images[0].Columns), dtype=np.uint8)
    labels[2:5, 5:9, 6:11] = 1
    folder = tmp_path / "results" / "a1"
    folder.mkdir(parents=True)
    seg = pydicom.dcmread(write_seg(labels, {1: "Lesion"}, images, "medkd 0", folder / "segmentation.dcm"))
    about = ResultObject(
        kind="segmentation",
        file="segmentation.dcm",
        sha256=sha256(folder / "segmentation.dcm"),
        sop_class_uid=str(seg.SOPClassUID),
        sop_instance_uid=str(seg.SOPInstanceUID),
        about="lesion",
    )
    model = ModelRef(name="m", version=1, manifest_digest="a" * 64, weights_digest="b" * 64, role="student")
    (folder / "result_set.json").write_bytes(
        ResultSet(explanation="c" * 64, model=model, objects=(about,), certificate=()).canonical_json()
    )
    return originals, seg


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def uids(dataset: Dataset, keyword: str) -> set[str]:
    return {str(element.value) for element in dataset.iterall() if element.keyword == keyword}


def refused(tmp_path, **more):
    """Return the code of a refusal by which nothing came out."""
    out = more.pop("out", tmp_path / "back")
    with pytest.raises((VaultError, SourceError, OutputError)) as caught:
        reidentify_results(more.get("source", tmp_path / "results"), more.get("vault", tmp_path / "vault"), out)
    assert str(caught.value).startswith("expected")
    assert not list(out.rglob("*.dcm")) or out == tmp_path / "results"
    return caught.value.code


def test_results_of_a_published_study_come_back_as_results_of_the_original(site, tmp_path):
    originals, seg = site
    found = reidentify_results(tmp_path / "results", tmp_path / "vault", tmp_path / "back")
    (path,) = found.objects
    back = pydicom.dcmread(path)
    assert path == tmp_path / "back" / "a1" / "segmentation.dcm"
    assert {keyword: str(back[keyword].value) for keyword in PATIENT} == PATIENT
    assert back.StudyInstanceUID == originals[0].StudyInstanceUID
    assert back.FrameOfReferenceUID == originals[0].FrameOfReferenceUID
    assert uids(back, "ReferencedSOPInstanceUID") == {str(one.SOPInstanceUID) for one in originals}
    assert back.ReferencedSeriesSequence[0].SeriesInstanceUID == originals[0].SeriesInstanceUID
    # What is the result's own stays: sent again it is the same object.
    assert (back.SOPInstanceUID, back.SeriesInstanceUID) == (seg.SOPInstanceUID, seg.SeriesInstanceUID)
    assert back.PixelData == seg.PixelData
    assert "PatientIdentityRemoved" not in back
    published = path.read_bytes()
    assert str(seg.StudyInstanceUID).encode() not in published
    assert str(seg.PatientID).encode() not in published


def test_each_slice_is_referred_to_by_the_image_it_was_drawn_on(site, tmp_path):
    originals, _ = site
    (path,) = reidentify_results(tmp_path / "results", tmp_path / "vault", tmp_path / "back").objects
    at = {str(one.SOPInstanceUID): [float(v) for v in one.ImagePositionPatient] for one in originals}
    groups = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    assert groups
    for group in groups:
        drawn_on = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert [float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient] == pytest.approx(at[str(drawn_on)])


def test_the_record_of_a_set_has_the_sums_of_the_copy(site, tmp_path):
    reidentify_results(tmp_path / "results" / "a1", tmp_path / "vault", tmp_path / "back")
    record = load_record(tmp_path / "back" / "result_set.json", ResultSet)
    assert record.objects[0].sha256 == sha256(tmp_path / "back" / "segmentation.dcm")
    before = load_record(tmp_path / "results" / "a1" / "result_set.json", ResultSet)
    assert record.model_copy(update={"objects": before.objects, "certificate": before.certificate}) == before
    assert [(one.file, one.reader.split()[0], one.errors) for one in record.certificate] == [("segmentation.dcm", "dciodvfy", 0)]


@pytest.mark.extended
def test_a_whole_set_of_a_published_study_is_valid_after_it_was_led_back(study, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDKD_VAULT_KEY", str(tmp_path / "keys" / "vault.key"))
    folder, values, files = study()
    for path in files:
        dataset = pydicom.dcmread(path)
        dataset.StudyDate, dataset.StudyTime, dataset.BurnedInAnnotation = "20200229", "101500", "NO"
        dataset.save_as(path)
    deidentify_folder(DeidentifyRequest(files[0].parent, tmp_path / "share", vault=tmp_path / "vault"), secret=b"k")
    published = sorted((tmp_path / "share").rglob("*.dcm"))
    assert len(published) == len(files)
    made, _ = write_results(folder, values, published, tmp_path / "sets")
    found = reidentify_results(tmp_path / "sets", tmp_path / "vault", tmp_path / "back")
    originals = {str(pydicom.dcmread(path).SOPInstanceUID) for path in files}
    for path in found.objects:
        back = pydicom.dcmread(path)
        assert (str(back.PatientName), back.PatientID, back.AccessionNumber, back.StudyDate) == ("Doe^Jane", "P1", "A1", "20200229")
        assert uids(back, "ReferencedSOPInstanceUID") & originals
        assert not any(
            uid.startswith("2.25.") and uid not in {one.sop_instance_uid for one in made.objects}
            for uid in uids(back, "ReferencedSOPInstanceUID")
        )
        assert validate(path) == (0, "")
    (record,) = (tmp_path / "back").rglob("result_set.json")
    voxels = {(one.file, one.reader, one.voxels) for one in made.certificate if one.voxels}
    assert voxels <= {(one.file, one.reader, one.voxels) for one in load_record(record, ResultSet).certificate}
    with running_orthanc(tmp_path / "orthanc") as archive:
        for sent in (files[0].parent, record.parent):
            assert {one.state for one in send(SendRequest(sent, WebPeer(archive.web), commitment=False))} == {"sent"}
        (held,) = requests.get(f"{archive.web}/studies", timeout=10).json()  # one study: the original, with what was found in it
        assert held["0020000D"]["Value"] == [str(pydicom.dcmread(files[0]).StudyInstanceUID)]
        assert archive.instances() == len(files) + len(made.objects)


def test_the_log_says_that_a_study_was_led_back(site, tmp_path):
    _, seg = site
    reidentify_results(tmp_path / "results", tmp_path / "vault", tmp_path / "back")
    events = read_log(tmp_path / "vault")
    assert [(event.what, event.studies, event.why) for event in events[1:]] == [("read", (str(seg.StudyInstanceUID),), "1 results")]


def test_a_result_that_refers_to_what_the_vault_does_not_know_is_refused(site, tmp_path):
    path = tmp_path / "results" / "a1" / "segmentation.dcm"
    (path.parent / "result_set.json").unlink()
    dataset = pydicom.dcmread(path)
    item = Dataset()
    item.ReferencedSOPInstanceUID = "2.25.4"
    dataset.ReferencedImageSequence = Sequence([item])
    dataset.save_as(path)
    assert refused(tmp_path) == "VAULT_ENTRY_MISSING"
    del dataset.ReferencedImageSequence
    dataset.StudyInstanceUID = "2.25.5"
    dataset.save_as(path)
    assert refused(tmp_path) == "VAULT_ENTRY_MISSING"


def test_a_set_that_was_altered_is_refused(site, tmp_path):
    path = tmp_path / "results" / "a1" / "segmentation.dcm"
    path.write_bytes(path.read_bytes() + b"\0")
    assert refused(tmp_path) == "RESULTS_ALTERED"
    assert len(read_log(tmp_path / "vault")) == 1  # nothing was read for it


def test_what_is_no_source_no_vault_or_no_output_is_refused(site, tmp_path):
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path, source=tmp_path / "empty") == "RESULTS_MISSING"
    assert refused(tmp_path, source=tmp_path / "nowhere") == "SOURCE_MISSING"
    assert refused(tmp_path, vault=tmp_path / "empty") == "VAULT_MISSING"
    assert refused(tmp_path, out=tmp_path / "results") == "OUT_OVERLAPS"
    assert refused(tmp_path, out=tmp_path / "vault" / "back") == "OUT_OVERLAPS"
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "note.txt").write_text("mine")
    assert refused(tmp_path, out=tmp_path / "theirs") == "OUT_FOREIGN"
