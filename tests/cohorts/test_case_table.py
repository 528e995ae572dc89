"""Tables of cases: read as people write them; their keys are of the site, never of the name alone."""

from __future__ import annotations

import hashlib
import json

import pytest

from data_contracts import DataError, FileOutcome, ImageFolderData, IngestCode, IngestedSeries, IngestError, IngestReport, Outcome, Part
from medkd.cohorts.case_table import (
    LINE,
    assign_parts,
    case_key,
    columns_of,
    keyed_ledger,
    patient_key,
    read_lines,
    read_table,
    require_classes,
    require_patient,
)  # fmt: skip
from medkd.dicom.confidentiality.secret import pseudonym

NAME = "Quixote_Alonso_1960"


@pytest.mark.parametrize("key", [case_key, patient_key])
def test_a_key_cannot_be_made_from_a_list_of_names(key, monkeypatch):
    own = key(NAME)
    assert own == key(NAME)
    assert own[1:] not in hashlib.sha256(NAME.encode()).hexdigest()
    monkeypatch.setenv("MEDKD_SECRET", "another site")
    assert key(NAME) != own


def test_a_patient_of_a_table_has_the_key_that_dicom_gives(monkeypatch):
    monkeypatch.setenv("MEDKD_SECRET", "site")
    assert patient_key(NAME) == pseudonym(b"site", "patient", NAME)


def test_a_ledger_beside_the_cohorts_names_files_by_keys_and_keeps_what_was_measured():
    evidence = json.dumps({"what": f"expected {NAME}.png", "mm": 0.5, "file": NAME})
    ledger = IngestReport(
        files=(
            FileOutcome(path=f"{NAME}/a.png", outcome=Outcome.ACCEPTED),
            FileOutcome(path=f"{NAME}/b.png", outcome=Outcome.QUARANTINED, code=IngestCode.DECODE_FAILED, evidence=evidence),
        ),
        series=(IngestedSeries(volume="v", first_file=f"{NAME}/c.dcm", residual_mm=0.0, shape=(1, 2, 3)),),
    )
    keyed = keyed_ledger(ledger)
    assert NAME not in keyed.canonical_json().decode()
    assert keyed.codes() == ledger.codes()
    assert len({file.path for file in keyed.files}) == 2
    assert json.loads(keyed.files[1].evidence) == {"mm": 0.5}


@pytest.mark.parametrize("kind", ["pictures", "volumes"])
def test_importers_write_no_name_of_a_file_outside_of_quarantine(kind, tmp_path):
    import nibabel
    import numpy as np
    from PIL import Image

    from data_contracts import Recipe, VolumeFolderData
    from flows.demo import demo_recipes
    from medkd.cohorts.image_folder import prepare_image_folder
    from medkd.cohorts.volume_folder import prepare_volume_folder
    from medkd.storage.store import Store
    from tests.ground_truth import places_of

    folder = tmp_path / f"{NAME}_data"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    suffix = ".png" if kind == "pictures" else ".nii.gz"
    generator = np.random.default_rng(0)
    for number in range(12):
        values = generator.integers(0, 255, (16, 16) if kind == "pictures" else (8, 16, 16)).astype(np.uint8)
        for place, array in (("images", values), ("masks", (values > 128).astype(np.uint8))):
            path = folder / place / f"{NAME}_{number}{suffix}"
            Image.fromarray(array).save(path) if kind == "pictures" else nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    (folder / "images" / f"{NAME}_12{suffix}").write_bytes(b"broken")
    lines = [f"{NAME}_{number},{NAME}_{number // 2}" for number in range(13)]
    (folder / "cases.csv").write_text("\n".join(["id,patient", *lines]) + "\n")
    recipe: Recipe = demo_recipes("smoke")[1]
    columns = {
        "path": folder.name,
        "table": "cases.csv",
        "id_column": "id",
        "patient_column": "patient",
        "masks": "masks",
        "label_column": None,
    }
    store = Store(tmp_path / "store", "run")
    if kind == "pictures":
        made = recipe.model_copy(update={"data": ImageFolderData(**columns)})
        prepare_image_folder(made, made.data, tmp_path, store)
    else:
        task = recipe.task.model_copy(update={"image_size": (8, 16, 16)})
        made = recipe.model_copy(update={"data": VolumeFolderData(**columns, dataset=None), "task": task})
        prepare_volume_folder(made, made.data, tmp_path, store)
    assert places_of(NAME, store.root) == []
    (table,) = store.root.rglob("quarantine/import.json")
    assert NAME in table.read_text()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("ID,patient\n a , p\n\n", "utf-8"),
        ("ID;patient\na;p;;\n", "utf-8-sig"),
        ("ID\tpatient\na\tp\n", "utf-16"),
        ('ID|patient\n"a"|p\n', "utf-8"),
    ],
)
def test_a_table_is_read_as_spreadsheets_write_it(tmp_path, text, encoding):
    (tmp_path / "cases.csv").write_text(text, encoding=encoding)
    (line,) = read_lines(tmp_path / "cases.csv")
    assert line == {"ID": "a", "patient": "p", LINE: "2"}
    assert columns_of([line]) == ["ID", "patient"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not"),
        ("ID,patient\n", "at least one line"),
        ("ID,ID\na,b\n", "has 'ID' twice"),
        ("ID,patient\na,b,c\n", "line 2 has 3"),
    ],
)
def test_what_is_no_table_is_said(tmp_path, text, said):
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        read_lines(tmp_path / "cases.csv")
    assert caught.value.code == "TABLE_UNREADABLE"


def test_a_case_on_two_lines_is_refused_with_whose_it_would_be(tmp_path):
    (tmp_path / "cases.csv").write_text("ID,patient,label\na.png,p,x\na,q,x\n")
    with pytest.raises(DataError, match="'a' is on lines 2 and 3, of the patients 'p' and 'q'") as caught:
        read_table(tmp_path, ImageFolderData(path="x"))
    assert caught.value.code == "CASE_TWICE"


def test_an_empty_patient_would_be_everybody():
    data = ImageFolderData(path="x")
    assert require_patient({"patient": "p", LINE: "2"}, data) == "p"
    with pytest.raises(IngestError, match="line 2 has none") as caught:
        require_patient({"patient": "", LINE: "2"}, data)
    assert caught.value.ingest_code is IngestCode.PATIENT_ID_MISSING


@pytest.mark.parametrize(
    ("inner", "parts"), [(0.0, {Part.TRAIN: 8, Part.VALIDATION: 2}), (0.25, {Part.TRAIN: 6, Part.VALIDATION: 2, Part.TEST: 2})]
)
def test_the_tables_validation_becomes_the_test_where_an_inner_one_is_held_back(inner, parts):
    data = ImageFolderData(path="x", part_column="part", inner_validation=inner)
    found = assign_parts([f"p{n}" for n in range(10)], [n % 2 for n in range(10)], ["val"] * 2 + ["train"] * 8, data)
    assert {part: found.count(part) for part in set(found)} == parts
    assert set(found[:2]) == {Part.TEST if inner else Part.VALIDATION}


def test_a_class_that_no_case_has_is_said_before_anything_is_computed():
    require_classes(("a", "b"), {0, 1}, cases=2, held="0 and 1", mend="look")
    with pytest.raises(DataError, match="in at least one of 2 labels, got none of b; the labels hold 0: look") as caught:
        require_classes(("a", "b"), {0}, cases=2, held="0", mend="look")
    assert caught.value.code == "CLASS_WITHOUT_LABEL"
