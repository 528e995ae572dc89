from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from data_contracts import DataError, ImageFolderData, LeakageError, Outcome, Part, SourceError, Task
from medkd.cohorts.image_folder import import_image_folder
from medkd.storage.store import Store

TASK = Task(kind="classification", classes=("benign", "malignant"), image_size=(32, 32), window=(0, 255))
DATA = ImageFolderData(
    path=".", id_column="ID", patient_column="patient", label_column="Pathology", part_column="split", validation_values=("val",)
)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(12):
        name, tall = f"x-{i}", i % 2 == 0
        shape = (60, 40) if tall else (40, 60)
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)).save(tmp_path / "images" / f"{name}.png")
        mask = np.zeros(shape, dtype=bool)
        mask[10:20, 10:30] = True
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
        rows.append(
            {
                "ID": name,
                "patient": f"Jane Doe {i // 2}",
                "Pathology": "benign" if i // 2 % 2 else "malignant",
                "split": "val" if i >= 8 else "train",
            }
        )
    write(tmp_path, rows)
    return tmp_path


def write(folder, rows):
    with (folder / "cases.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def rows_of(folder):
    with (folder / "cases.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_pictures_keep_their_aspect_and_the_padding_is_marked(folder, tmp_path):
    store = Store(tmp_path / "store")
    cohort, _ = import_image_folder(folder, DATA, TASK, store)
    shard = store.read_tensors(cohort.cases[0].image)
    assert shard["images"].shape == (12, 32, 32)
    assert int(shard["valid"][0].sum()) == 32 * round(40 * 32 / 60)
    assert bool((shard["images"][shard["valid"] == 0] == 0).all())
    share = shard["masks"][0].sum() / shard["valid"][0].sum()
    assert float(share) == pytest.approx(10 * 20 / (60 * 40), rel=0.2)
    assert cohort.origin == "image-folder"


def test_the_tables_own_parts_are_kept_and_no_name_is_stored(folder, tmp_path):
    cohort, _ = import_image_folder(folder, DATA, TASK, Store(tmp_path / "store"))
    assert {part: len(cohort.part(part)) for part in (Part.TRAIN, Part.VALIDATION)} == {Part.TRAIN: 8, Part.VALIDATION: 4}
    assert b"Jane" not in cohort.canonical_json()
    assert b"x-3" not in cohort.canonical_json()


def test_a_table_that_splits_a_patient_is_refused(folder, tmp_path):
    rows = rows_of(folder)
    rows[7]["split"] = "val"
    write(folder, rows)
    with pytest.raises(LeakageError) as caught:
        import_image_folder(folder, DATA, TASK, Store(tmp_path / "store"))
    assert caught.value.code == "PATIENT_IN_TWO_PARTS"


def test_an_inner_validation_part_is_cut_from_training_by_patient(folder, tmp_path):
    data = DATA.model_copy(update={"inner_validation": 0.4})
    cohort, _ = import_image_folder(folder, data, TASK, Store(tmp_path / "store"))
    assert len(cohort.part(Part.TEST)) == 4
    assert len(cohort.part(Part.VALIDATION)) in {2, 4}


def test_a_case_that_cannot_be_read_is_left_out_and_said(folder, tmp_path, caplog):
    (folder / "images" / "x-2.png").write_bytes(b"not a picture")
    (folder / "masks" / "x-5.png").unlink()
    cohort, ledger = import_image_folder(folder, DATA, TASK, Store(tmp_path / "store"))
    assert len(cohort.cases) == 10
    assert "left out 2 of 12" in caplog.text
    assert ledger.codes() == {"DECODE_FAILED": 2, "LABEL_MISSING": 1}
    assert ledger.count(Outcome.ACCEPTED) == 20


def test_lines_are_chosen_by_their_values_and_may_all_go_to_one_part(folder, tmp_path):
    data = DATA.model_copy(update={"where": {"split": "val"}})
    cohort, ledger = import_image_folder(folder, data, TASK, Store(tmp_path / "store"), whole=Part.TEST)
    assert len(cohort.part(Part.TEST)) == len(cohort.cases) == 4
    assert len(ledger.files) == 8


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"label_column": "nothing"}, "TABLE_COLUMN"),
        ({"table": "other.csv"}, "SOURCE_MISSING"),
        ({"label_column": "split"}, "TABLE_LABEL"),
        ({"where": {"split": "no"}}, "COHORT_EMPTY"),
    ],
)
def test_a_table_that_does_not_fit_says_why(folder, tmp_path, change, code):
    with pytest.raises((DataError, SourceError)) as caught:
        import_image_folder(folder, DATA.model_copy(update=change), TASK, Store(tmp_path / "store"))
    assert caught.value.code == code


def test_burnt_in_letters_are_painted_over_where_the_recipe_asks_for_it(folder, tmp_path):
    rng = np.random.default_rng(1)
    image = Image.fromarray(np.clip(rng.normal(70, 6, (120, 160)), 0, 255).astype(np.uint8))
    ImageDraw.Draw(image).text((30, 80), "BREAST", fill=235, font=ImageFont.load_default(18))
    image.save(folder / "images" / "x-0.png")
    Image.fromarray(np.zeros((120, 160), dtype=bool)).save(folder / "masks" / "x-0.png")
    stored = {}
    for wanted in (False, True):
        store = Store(tmp_path / f"store{wanted}")
        cohort, _ = import_image_folder(folder, DATA.model_copy(update={"remove_artefacts": wanted}), TASK, store)
        stored[wanted] = store.read_tensors(cohort.cases[0].image)["images"][0].int(), cohort.cases[0].pixel_sha256
    assert int(stored[False][0].max()) > 140 > 90 > int(stored[True][0].max())
    # Who is who is told by the pictures as they are: a mark that was taken off makes no two of one.
    assert stored[False][1] == stored[True][1]
    assert b"remove_artefacts" not in DATA.canonical_json()
