from __future__ import annotations

import pytest

from data_contracts import DicomData, ImageFolderData, PhantomData, Task, VolumeFolderData
from medkd.cohorts.check_source import source_problems

CLASSES = Task(kind="classification", classes=("benign", "malignant"))
MASKS = Task(kind="segmentation", classes=("benign", "malignant"))
PICTURES = ImageFolderData(path="data")
VOLUMES = VolumeFolderData(path="data", dataset=None, table="cases.csv", patient_column="patient")


@pytest.fixture
def folder(tmp_path):
    """Return a folder of pictures that is as :data:`PICTURES` says."""
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "a.png").touch()
    (tmp_path / "data" / "cases.csv").write_text("ID,patient,label\na,p,benign\n")
    return tmp_path / "data"


def found(folder, data, task):
    return [(field, error.code) for field, error in source_problems(data, task, folder.parent)]


def test_a_folder_that_is_as_it_should_be_has_no_problem(folder):
    assert found(folder, PICTURES, CLASSES) == found(folder, PICTURES, MASKS) == []
    assert found(folder, PhantomData(teacher=8, student=8), CLASSES) == []


@pytest.mark.parametrize(
    ("changes", "task", "problems"),
    [
        ({"path": "none"}, CLASSES, [("path", "SOURCE_MISSING")]),
        ({"path": "../data"}, CLASSES, [("path", "PATH_ESCAPE")]),
        ({"table": "none.csv"}, CLASSES, [("table", "SOURCE_MISSING")]),
        ({"id_column": "x", "label_column": "y"}, CLASSES, [("id_column", "TABLE_COLUMN"), ("label_column", "TABLE_COLUMN")]),
        ({"where": {"label": "cyst"}}, CLASSES, [("where", "COHORT_EMPTY")]),
        ({"label_column": "patient"}, CLASSES, [("label_column", "TABLE_LABEL")]),
        ({"label_column": "patient"}, None, []),
        ({"images": "none"}, CLASSES, [("images", "SOURCE_MISSING")]),
        ({"masks": "../masks"}, CLASSES, [("masks", "PATH_ESCAPE")]),
        ({"masks": None}, MASKS, [("masks", "MASK_CLASSES")]),
        ({"masks": None}, CLASSES, []),
    ],
)
def test_each_problem_is_said_with_the_field_that_names_it(folder, changes, task, problems):
    assert found(folder, PICTURES.model_copy(update=changes), task) == problems


def test_a_folder_that_holds_other_cases_than_the_table_names_is_empty(folder):
    (folder / "images" / "a.png").rename(folder / "images" / "b.png")
    assert found(folder, PICTURES, CLASSES) == [("images", "COHORT_EMPTY")]


def test_volumes_are_looked_for_by_the_suffixes_of_volumes(folder):
    named = VOLUMES.model_copy(update={"id_column": "ID"})
    assert found(folder, named, None) == [("images", "COHORT_EMPTY"), ("masks", "COHORT_EMPTY")]
    listed = named.model_copy(update={"table": None, "dataset": "dataset.json", "patient_pattern": "odd-even"})
    assert found(folder, listed, None) == [("dataset", "SOURCE_MISSING")]


def test_dicom_needs_a_file(folder):
    assert found(folder, DicomData(path="data"), None) == []
    (folder.parent / "empty" / "deep").mkdir(parents=True)
    assert found(folder, DicomData(path="empty"), None) == [("path", "SOURCE_MISSING")]
