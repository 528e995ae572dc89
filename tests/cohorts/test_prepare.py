from __future__ import annotations

import pytest

from data_contracts import CohortSpec, DataError, DicomData, ImageFolderData, PhantomData, SourceError, Task, VolumeFolderData
from medkd.cohorts.prepare import data_folder, prepare_cohorts, source_digest
from medkd.storage.workspace import local_workspace

PHANTOM = PhantomData(teacher=8, student=8)
PICTURES = ImageFolderData(path="data")


@pytest.fixture
def root(tmp_path):
    for name in ("data/images/a.png", "data/masks/a.png", "data/cases.csv", "data/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def test_invented_cases_lie_nowhere_and_have_no_digest(root):
    assert data_folder(PHANTOM, root) is None
    assert source_digest(PHANTOM, root) == ""


def test_a_folder_is_there_and_inside_the_data_root(root):
    assert data_folder(PICTURES, root) == root / "data"
    for path, kind, code in (("none", SourceError, "SOURCE_MISSING"), ("../x", DataError, "PATH_ESCAPE")):
        with pytest.raises(kind) as caught:
            data_folder(ImageFolderData(path=path), root)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("data", "changed", "matters"),
    [
        (PICTURES, "images/a.png", True),
        (PICTURES, "cases.csv", True),
        (PICTURES, "masks/a.png", True),
        (PICTURES, "notes.txt", False),
        (PICTURES.model_copy(update={"masks": None}), "masks/a.png", False),
        (VolumeFolderData(path="data", table="cases.csv"), "notes.txt", True),
        (DicomData(path="data"), "notes.txt", False),
    ],
)
def test_a_changed_file_is_another_cohort_where_it_is_read(root, data, changed, matters):
    before = source_digest(data, root)
    assert before == source_digest(data, root)
    (root / "data" / changed).write_text("y")
    assert (source_digest(data, root) != before) is matters


def test_under_another_secret_the_same_people_are_another_cohort(root, monkeypatch):
    before = source_digest(PICTURES, root)
    monkeypatch.setenv("MEDKD_SECRET", "another site")
    assert source_digest(PICTURES, root) != before


def test_dicom_is_ingested_before_its_cohort_is_made(tmp_path):
    task = Task(kind="segmentation", classes=("background", "lesion"))
    spec = CohortSpec(name="x", task=task, data=DicomData(path="data"), seeds=(0,))
    with pytest.raises(SourceError) as caught:
        prepare_cohorts(local_workspace(tmp_path / "run"), spec, "")
    assert caught.value.code == "SOURCE_NOT_INGESTED"
