"""A folder of DICOM as what a model has never seen: every labelled volume is a test case, named by its header."""

from __future__ import annotations

import json

import pydicom
import pytest

from data_contracts import CohortUse, DataError, DicomData, Part, Ref, SeriesRule, SourceError, Task
from medkd.cohorts.external_dataset import FolderHints, describe_folder
from medkd.cohorts.volume_cohort import open_volumes
from medkd.cohorts.whole_folder import import_whole
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.storage.store import Store, write_bytes

TASK = Task(kind="segmentation", classes=("background", "lesion"), image_size=(12, 64, 64))


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clinic") / "export"
    cases, studies = write_phantom_dicom(folder, studies=5, seed=4)
    for path in sorted((folder / "study001").glob("IM*.dcm")):
        header = pydicom.dcmread(path)
        header.PatientAge, header.PatientSex = "063Y", "F"
        header.save_as(path)
    return folder, cases, studies


@pytest.fixture(scope="module")
def imported(clinic, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("scratch"), "scratch")
    cohort, report = import_whole(clinic[0], describe_folder(clinic[0], TASK, FolderHints()), TASK, store)
    return store, cohort, report


def test_every_labelled_volume_is_a_test_case_with_what_its_header_says(clinic, imported):
    store, cohort, report = imported
    assert len(cohort.part(Part.TEST)) == len(cohort.cases) == 5
    assert report.codes()  # the faults of the export are in the ledger
    (elderly,) = [case for case in cohort.cases if case.attributes.get("age") == "63"]
    assert (elderly.attributes["sex"], elderly.attributes["modality"]) == ("F", "CT")
    write_bytes(store.root / "folder/all.json", cohort.canonical_json())
    volumes = open_volumes(
        CohortUse(cohort=Ref(store="scratch", key="folder/all.json", sha256=cohort.digest()), part=Part.TEST), store, TASK
    )
    drawn = sorted(int((label > 0).sum()) for label in volumes.references)
    assert min(drawn) > 0
    # As many voxels as the objects of the labels hold.
    objects = [pydicom.dcmread(path) for path in clinic[0].rglob("*.dcm")]
    assert drawn == sorted(int(one.pixel_array.astype(bool).sum()) for one in objects if one.Modality == "SEG")


def test_a_modality_is_kept_and_another_leaves_nothing(clinic, tmp_path):
    data = describe_folder(clinic[0], TASK, FolderHints(where={"modality": "MR", "EchoTime": "4.6"}, segments={"Tumor": "lesion"}))
    assert data == DicomData(path=".", modality="MR", coordinates={"EchoTime": 4.6}, segments={"Tumor": "lesion"})
    with pytest.raises(DataError) as caught:
        import_whole(clinic[0], describe_folder(clinic[0], TASK, FolderHints(where={"modality": "MR"})), TASK, Store(tmp_path, "scratch"))
    assert caught.value.code == "COHORT_EMPTY"


def test_what_a_model_says_that_it_sees_is_looked_for_unless_the_user_chooses(clinic, tmp_path):
    series = {"ct": SeriesRule(modality="CT"), "pet": SeriesRule(modality="PT")}
    assert describe_folder(clinic[0], TASK, FolderHints(series=series)) == DicomData(path=".", channels=series)
    chosen = describe_folder(clinic[0], TASK, FolderHints(series=series, where={"modality": "CT"}))
    assert chosen == DicomData(path=".", modality="CT")
    only = DicomData(path=".", channels={"pet": series["pet"]})
    with pytest.raises(DataError, match=r"no study has what the channels ask for \(pet: PT\)") as caught:
        import_whole(clinic[0], only, TASK.model_copy(update={"channels": ("pet",)}), Store(tmp_path, "scratch"))
    assert caught.value.code == "COHORT_EMPTY"


def test_structures_that_are_called_otherwise_are_named(clinic, tmp_path):
    task = TASK.model_copy(update={"classes": ("background", "tumour")})
    with pytest.raises(DataError, match="got 'Lesion'; map it under segments"):
        import_whole(clinic[0], describe_folder(clinic[0], task, FolderHints()), task, Store(tmp_path / "a", "scratch"))
    hints = FolderHints(segments={"*": "tumour"})
    cohort, _ = import_whole(clinic[0], describe_folder(clinic[0], task, hints), task, Store(tmp_path / "b", "scratch"))
    assert len(cohort.cases) == 5
    assert json.loads((tmp_path / "b" / "cohorts" / "folder" / "labels.json").read_text())["refused"] == {}


@pytest.mark.parametrize(
    ("hints", "code", "sentence"),
    [
        (FolderHints(patient_column="patient"), "TABLE_COLUMN", "patient column: leave it out"),
        (FolderHints(patient_pattern="odd-even"), "TABLE_COLUMN", "patient pattern: leave it out"),
    ],
)
def test_columns_of_dicom_are_refused(clinic, hints, code, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        describe_folder(clinic[0], TASK, hints)
    assert caught.value.code == code


def test_what_is_neither_is_refused_and_structures_of_a_table_too(tmp_path):
    (tmp_path / "notes.dcm").write_bytes(bytes(200))
    with pytest.raises(SourceError, match=r"cases.csv, dataset.json or DICOM files in .*, found 'notes.dcm'"):
        describe_folder(tmp_path, TASK, FolderHints())
    (tmp_path / "cases.csv").write_text("id,patient\na,p\n")
    with pytest.raises(DataError) as caught:
        describe_folder(tmp_path, TASK, FolderHints(segments={"a": "lesion"}))
    assert caught.value.code == "SEGMENTS_TABLE"


def test_volumes_are_none_of_a_model_of_pictures(clinic, tmp_path):
    task = TASK.model_copy(update={"image_size": (64, 64)})
    with pytest.raises(DataError) as caught:
        import_whole(clinic[0], describe_folder(clinic[0], task, FolderHints()), task, Store(tmp_path, "scratch"))
    assert caught.value.code == "COHORT_EMPTY"
