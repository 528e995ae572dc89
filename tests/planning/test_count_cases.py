from __future__ import annotations

from pathlib import Path

from data_contracts import DicomData, ImageFolderData, VolumeFolderData
from medkd.planning.count_cases import GUESSED_CASES, batches_of, count_cases
from tests.planning.recipes import smoke_recipe


def test_a_phantoms_recipe_says_everything():
    recipe = smoke_recipe()
    counts = count_cases(recipe, Path())
    assert (counts.teacher, counts.students) == (128, {"alone": 32, "kd": 64, "kd_explanation": 64})
    assert (counts.tests, counts.stored, counts.assumed) == (64, 128 + 64 + 32 + 32 + 64, "")
    classified = count_cases(smoke_recipe("phantom-classification"), Path())
    assert classified.tests == 64 + 64 + 64 + 2 * 16


def test_batches_are_those_of_all_epochs_without_the_last_smaller_one():
    fit = {"student.fit.epochs": 3, "student.fit.batch_size": 16}
    drawn = smoke_recipe(**fit).student_training("kd", 0)
    assert batches_of(drawn, 999) == 3 * 4  # 64 samples an epoch
    assert batches_of(smoke_recipe(**fit, **{"student.fit.samples_per_epoch": None}).student_training("kd", 0), 50) == 3 * 3


def test_tables_and_folders_are_counted_and_a_fifth_is_for_tests(tmp_path):
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "cases.csv").write_text("ID,patient\n" + "".join(f"{name},{name}\n" for name in range(10)))
    for name in range(5):
        (tmp_path / "data" / "images" / f"{name}.nii.gz").write_bytes(b"")
    recipe = smoke_recipe()
    pictures = count_cases(recipe.model_copy(update={"data": ImageFolderData(path="data")}), tmp_path)
    assert (pictures.teacher, pictures.tests, pictures.stored) == (8, 2, 10)
    assert "a fifth" in pictures.assumed
    volumes = VolumeFolderData(path="data", dataset=None, table="cases.csv")
    assert count_cases(recipe.model_copy(update={"data": volumes}), tmp_path).stored == 5
    assert count_cases(recipe.model_copy(update={"data": volumes.model_copy(update={"most": 4})}), tmp_path).stored == 4


def test_cases_of_dicom_are_guessed_and_that_is_said():
    counts = count_cases(smoke_recipe().model_copy(update={"data": DicomData(path="data")}), Path())
    assert counts.stored == GUESSED_CASES
    assert "after its ingestion" in counts.assumed
