"""Keys of tables' cases: of the site, never of the name alone."""

from __future__ import annotations

import hashlib
import json

import pytest

from data_contracts import FileOutcome, IngestCode, IngestedSeries, IngestReport, Outcome
from medkd.cohorts.case_table import case_key, keyed_ledger, patient_key
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

    from data_contracts import ImageFolderData, Recipe, VolumeFolderData
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
