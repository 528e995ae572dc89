from __future__ import annotations

import csv

import pytest

from data_contracts import DataError, ImageFolderData, SourceError, Task, VolumeFolderData
from medkd.cohorts.external_dataset import FolderHints, describe_folder

PICTURES = Task(kind="classification", classes=("benign", "malignant"), image_size=(32, 32))
VOLUMES = Task(kind="segmentation", classes=("background", "liver"), image_size=(16, 16, 16))
NONE = FolderHints()


def table(root, rows):
    root.mkdir(exist_ok=True)
    with (root / "cases.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def root(tmp_path):
    rows = [
        {"File": f"a{i}", "Patient ID": f"x{i // 2}", "Finding": "benign" if i % 3 else "malignant", "Sex": "FM"[i % 2], "age": str(20 + i), "fold": str(i % 2), "note": f"free text {i}"}
        for i in range(20)
    ]  # fmt: skip
    table(tmp_path, rows)
    for folder, suffix in (("images", ".png"), ("masks", ".png")):
        (tmp_path / folder).mkdir()
        for row in rows:
            (tmp_path / folder / f"{row['File']}{suffix}").touch()
    return tmp_path


def test_columns_are_recognised_by_what_they_hold(root):
    data = describe_folder(root, PICTURES, NONE)
    assert isinstance(data, ImageFolderData)
    assert (data.id_column, data.patient_column, data.label_column) == ("File", "Patient ID", "Finding")
    assert data.attribute_columns == ("Sex", "age")  # neither the fold nor free text divides patients
    assert data.masks == "masks"


def test_what_the_user_says_goes_first(root):
    hints = FolderHints(id_column="note", patient_column="File", label_column="Sex", where={"fold": "1"})
    data = describe_folder(root, PICTURES, hints)
    assert (data.id_column, data.patient_column, data.label_column, data.where) == ("note", "File", "Sex", {"fold": "1"})


def test_a_column_that_cannot_be_told_is_asked_for(root):
    with (root / "cases.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    table(root, [{**row, "second": row["Finding"]} for row in rows])
    with pytest.raises(DataError, match="--column label") as caught:
        describe_folder(root, PICTURES, NONE)
    assert caught.value.code == "TABLE_COLUMN"
    table(root, [{key: value for key, value in row.items() if key != "Patient ID"} for row in rows])
    with pytest.raises(DataError, match="--column patient"):
        describe_folder(root, PICTURES, NONE)
    table(root, [{**row, "File": f"other{i}"} for i, row in enumerate(rows)])
    with pytest.raises(DataError, match="--column id"):
        describe_folder(root, PICTURES, NONE)
    table(root, rows)
    with pytest.raises(DataError, match="'nothing'"):
        describe_folder(root, PICTURES, FolderHints(patient_column="nothing"))


def test_volumes_need_a_list_or_a_table_and_a_way_to_tell_people_apart(tmp_path):
    with pytest.raises(SourceError):
        describe_folder(tmp_path / "nowhere", VOLUMES, NONE)
    with pytest.raises(SourceError, match=r"dataset\.json"):
        describe_folder(tmp_path, VOLUMES, NONE)
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(DataError, match="--patient-pattern"):
        describe_folder(tmp_path, VOLUMES, NONE)
    data = describe_folder(tmp_path, VOLUMES, FolderHints(patient_pattern="odd-even"))
    assert isinstance(data, VolumeFolderData)
    assert (data.patient_pattern, data.dataset) == ("odd-even", "dataset.json")


def test_a_segmentation_cannot_be_scored_without_masks(root):
    for path in (root / "masks").iterdir():
        path.unlink()
    (root / "masks").rmdir()
    with pytest.raises(SourceError, match="masks"):
        describe_folder(root, Task(kind="segmentation", classes=("background", "lesion"), image_size=(32, 32)), NONE)
    assert describe_folder(root, PICTURES, NONE).masks is None


def test_volumes_without_a_list_are_found_by_name(tmp_path):
    table(tmp_path, [{"case": f"v{i}", "subject": f"s{i}"} for i in range(3)])
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for i in range(3):
            (tmp_path / folder / f"v{i}.nii.gz").touch()
    data = describe_folder(tmp_path, VOLUMES, NONE)
    assert (data.dataset, data.masks, data.id_column, data.patient_column) == (None, "masks", "case", "subject")


@pytest.mark.parametrize(
    ("values", "divides"),
    [("2 3 4 5", True), ("A B", True), ("0.0 1.0", False), ("31 32 33 34 35 36 37", False), ("A", False), ("GE Siemens 3", True), ("a b c d e f g h i j k l m", False)],
)  # fmt: skip
def test_columns_of_measurements_are_no_subgroups(root, values, divides):
    with (root / "cases.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    known = values.split()
    table(root, [{**row, "extra": known[i % len(known)]} for i, row in enumerate(rows)])
    assert ("extra" in describe_folder(root, PICTURES, NONE).attribute_columns) is divides
