"""What an object is, and whether enough is known of it."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.uid import RTDoseStorage, RTStructureSetStorage, SecondaryCaptureImageStorage, SegmentationStorage

from data_contracts import Action, IngestCode, IngestError, IngestPolicy, Outcome, StoreManifest, load_record
from medkd.dicom.classify import ObjectKind, classify, states_text
from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from medkd.dicom.findings import Findings
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.dicom_faults import write_case
from tests.dicom.invented import header


def ingested(source, tmp_path, policy=None):
    report = ingest(IngestRequest(source, tmp_path / "store", policy or IngestPolicy()), secret=b"k")
    assert len(report.files) == sum(report.count(outcome) for outcome in Outcome)
    assert len({file.path for file in report.files}) == len(report.files)
    return report


@pytest.fixture
def source(tmp_path):
    write_case(tmp_path / "in" / "ct", "regular")
    return tmp_path / "in"


def nameless(source, *keywords):
    for path in (source / "ct").iterdir():
        dataset = pydicom.dcmread(path)
        for keyword in keywords:
            setattr(dataset, keyword, "" if keyword == "PatientID" else None)
        dataset.save_as(path)


def test_without_a_patient_id_nothing_goes_on_unless_the_policy_says_so(source, tmp_path):
    nameless(source, "PatientID")
    refused = ingested(source, tmp_path)
    assert refused.codes() == {"PATIENT_ID_MISSING": 14}
    assert "--policy repair" in refused.files[0].evidence
    study = pydicom.dcmread(next((source / "ct").iterdir())).StudyInstanceUID
    report = ingest(
        IngestRequest(source, tmp_path / "b", IngestPolicy(actions={IngestCode.PATIENT_ID_MISSING: Action.REPAIR})), secret=b"k"
    )
    assert report.count(Outcome.ACCEPTED) == 14
    (volume,) = load_record(tmp_path / "b" / "manifest.json", StoreManifest).volumes
    assert volume.flags == (IngestCode.PATIENT_ID_MISSING,)
    assert '"derived_from": ["StudyInstanceUID"]' in volume.evidence[IngestCode.PATIENT_ID_MISSING]
    text = (tmp_path / "b" / "manifest.json").read_text()
    assert "Phantom" not in text
    assert study not in text
    # The same person as in what is de-identified.
    published = deidentify_folder(DeidentifyRequest(source, tmp_path / "share"), secret=b"k")
    assert published.count(Outcome.ACCEPTED) == 14
    assert [path.name for path in (tmp_path / "share").iterdir()] == [volume.patient_key]


def test_two_studies_without_a_patient_id_are_two_people(tmp_path):
    for number in (1, 2):
        write_case(tmp_path / "in" / str(number) / "ct", "slope_per_slice" if number == 2 else "regular", seed=number)
        nameless(tmp_path / "in" / str(number), "PatientID")
    ingest(IngestRequest(tmp_path / "in", tmp_path / "store", IngestPolicy(every=Action.REPAIR)), secret=b"k")
    volumes = load_record(tmp_path / "store" / "manifest.json", StoreManifest).volumes
    assert len({volume.patient_key for volume in volumes}) == len(volumes) == 2


def test_a_missing_study_is_not_repaired(source, tmp_path):
    nameless(source, "PatientID", "StudyInstanceUID")
    assert ingested(source, tmp_path, IngestPolicy(every=Action.REPAIR)).codes() == {"PATIENT_ID_MISSING": 14}


NOWHERE = {"ImagePositionPatient": None}
#: CR, DX, mammography and intra-oral radiographs for presentation and processing, ultrasound, its cine.
PICTURES = ("1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "6.1", "3.1")


def kind_of(policy=None, **values):
    """Return the kind of an object, or the code under which it is refused."""
    try:
        return classify(header(**values), Findings(policy or IngestPolicy()))
    except IngestError as error:
        return error.ingest_code


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, ObjectKind.IMAGE),
        ({"SOPClassUID": SegmentationStorage}, ObjectKind.SEGMENTATION),
        ({"SOPClassUID": RTStructureSetStorage}, ObjectKind.STRUCTURE_SET),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, IngestCode.SECONDARY_CAPTURE),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.4"}, IngestCode.SECONDARY_CAPTURE),
        ({"Rows": None}, IngestCode.NON_IMAGE_SOP),
        ({"SOPClassUID": RTDoseStorage}, IngestCode.NON_IMAGE_SOP),
        ({"SOPClassUID": None}, IngestCode.MISSING_SOP_CLASS),
        ({"SamplesPerPixel": 3}, IngestCode.COLOUR_UNSUPPORTED),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, IngestCode.LOCALIZER),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.12.1", "ImagePositionPatient": None}, IngestCode.PROJECTION),
        *(({"SOPClassUID": f"1.2.840.10008.5.1.4.1.1.{number}", **NOWHERE}, ObjectKind.PICTURE) for number in PICTURES),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", **NOWHERE, "SamplesPerPixel": 3}, ObjectKind.PICTURE),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", **NOWHERE, "PatientID": ""}, IngestCode.PATIENT_ID_MISSING),
        # A swept ultrasound has a place in space, and is a volume.
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1"}, ObjectKind.IMAGE),
        ({"BurnedInAnnotation": "YES"}, IngestCode.BURNED_IN_TEXT),
        ({"PatientID": ""}, IngestCode.PATIENT_ID_MISSING),
    ],
)
def test_a_kind_is_known_by_class_and_contents(values, kind):
    assert kind_of(**values) is kind


def test_secondary_captures_are_pictures_where_the_policy_admits_them():
    policy = IngestPolicy(actions={IngestCode.SECONDARY_CAPTURE: Action.ACCEPT_WITH_FLAG})
    asked = Findings(policy)
    assert classify(header(SOPClassUID=SecondaryCaptureImageStorage), asked) is ObjectKind.PICTURE
    assert set(asked.flags) == {IngestCode.SECONDARY_CAPTURE}
    assert kind_of(policy, SOPClassUID=SecondaryCaptureImageStorage, Rows=None) is IngestCode.NON_IMAGE_SOP


@pytest.mark.parametrize(("missing", "kind"), [("PixelSpacing", IngestCode.MISSING_SOP_CLASS), ("KVP", ObjectKind.IMAGE)])
def test_a_missing_class_is_repaired_where_the_geometry_is_complete(missing, kind):
    assert kind_of(IngestPolicy(every=Action.REPAIR), SOPClassUID=None, **{missing: None}) is kind


@pytest.mark.parametrize(("stated", "modality", "text"), [("YES", "CT", True), ("NO", "US", False), ("", "US", True), ("", "CT", False)])
def test_text_is_what_is_stated_or_else_likely(stated, modality, text):
    assert states_text(stated, modality) is text
