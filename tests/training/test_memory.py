from __future__ import annotations

import json
import math
from pathlib import Path

import nibabel
import numpy as np
import pytest

import flows
from data_contracts import DicomData, ImageFolderData, MissingDependencyError, RecipeError, Role, VolumeFolderData
from medkd.training import memory
from medkd.training.memory import BYTES_PER_PIXEL, BYTES_PER_VOXEL, cohort_bytes, most_bytes, require_training_memory, training_bytes
from medkd.training.recipes import read_recipe

PHANTOM = Path(flows.__file__).parent / "recipes" / "phantom-classification.yaml"


@pytest.fixture
def small():
    return read_recipe(PHANTOM, {"student.network.options.channels": [4, 4, 4, 4], "student.fit.precision": "fp32"})


def varied(recipe, **changes):
    return recipe.model_copy(update=changes)


def test_a_training_takes_at_least_weights_gradients_moments_and_its_batch(small):
    fit = small.student.fit
    needed, parameters = training_bytes(small, Role.STUDENT, fit)
    assert needed > parameters * 4 * 4 + fit.batch_size * math.prod(small.task.image_size) * 4
    averaged, _ = training_bytes(small, Role.STUDENT, fit.model_copy(update={"ema": 0.9}))
    assert averaged - needed == parameters * 4
    half, _ = training_bytes(small, Role.STUDENT, fit.model_copy(update={"precision": "bf16"}))
    assert half < needed


def test_twice_the_batch_keeps_twice_as_much_for_the_way_back(small):
    fit = small.student.fit
    one, two = (training_bytes(small, Role.STUDENT, fit.model_copy(update={"batch_size": size}))[0] for size in (8, 16))
    fixed = training_bytes(small, Role.STUDENT, fit)[1] * 4 * 4
    assert (two - fixed) / (one - fixed) == pytest.approx(2, rel=0.2)
    assert most_bytes(small, Role.STUDENT, fit) > training_bytes(small, Role.STUDENT, fit)[0]


def test_a_network_that_cannot_be_built_is_said(small):
    spec = small.student.network.model_copy(update={"options": {"channels": (0, 0, 0, 0)}})
    with pytest.raises(RecipeError) as caught:
        training_bytes(varied(small, student=small.student.model_copy(update={"network": spec})), Role.STUDENT, small.student.fit)
    assert caught.value.code == "RECIPE_NETWORK"


def test_the_largest_cohort_of_the_phantom_counts(small):
    pixels = math.prod(small.task.image_size)
    data = small.data.model_copy(update={"marker_pairs": 5000})
    assert cohort_bytes(varied(small, data=data), Path()) == 10_000 * pixels * BYTES_PER_PIXEL


def test_cases_of_a_table_and_voxels_of_headers_are_counted(small, tmp_path):
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "cases.csv").write_text("ID,patient\na,p\nb,q\n")
    for name, shape in (("a", (4, 5, 6)), ("b", (2, 2, 2))):
        nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.uint8), np.eye(4)), tmp_path / "data" / "images" / f"{name}.nii.gz")
    (tmp_path / "data" / "images" / "c.nii.gz").write_bytes(b"broken")
    pictures = ImageFolderData(path="data")
    assert cohort_bytes(varied(small, data=pictures), tmp_path) == 2 * math.prod(small.task.image_size) * BYTES_PER_PIXEL
    volumes = VolumeFolderData(path="data", dataset=None, table="cases.csv")
    assert cohort_bytes(varied(small, data=volumes), tmp_path) == (120 + 8) * BYTES_PER_VOXEL
    assert cohort_bytes(varied(small, data=DicomData(path="data")), tmp_path) == 0


def test_all_images_of_a_case_are_counted(small, tmp_path):
    listed = {"channel_names": {"0": "t1", "1": "t2"}, "file_ending": ".nii.gz"}
    for folder in ("imagesTr", "images", "second"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dataset.json").write_text(json.dumps(listed))
    for case in "abcde":
        image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.uint8), np.eye(4))
        for name in (f"imagesTr/{case}_0000", f"imagesTr/{case}_0001", f"images/{case}", f"second/{case}"):
            nibabel.save(image, tmp_path / f"{name}.nii.gz")
    by_list = VolumeFolderData(path=".", patient_pattern="(.+)")
    by_folders = VolumeFolderData(path=".", dataset=None, patient_pattern="(.+)", channels={"t1": "images", "t2": "second"})
    for data in (by_list, by_folders):
        assert cohort_bytes(varied(small, data=data), tmp_path) == 5 * 2 * 24 * BYTES_PER_VOXEL
        assert cohort_bytes(varied(small, data=data.model_copy(update={"most": 4})), tmp_path) == 4 * 2 * 24 * BYTES_PER_VOXEL


@pytest.mark.parametrize(("free", "refused"), [(None, False), (2**40, False), (2**20, True)])
def test_a_recipe_that_the_memory_cannot_hold_is_refused(small, monkeypatch, free, refused):
    for module in (memory, memory.require_memory.__globals__):
        target = module if isinstance(module, dict) else vars(module)
        monkeypatch.setitem(target, "available_bytes", lambda: free)
    if not refused:
        require_training_memory(small, Path())
        return
    with pytest.raises(MissingDependencyError, match="the cases of phantom-classification") as caught:
        require_training_memory(small, Path())
    assert caught.value.code == "MEMORY_TOO_SMALL"


def test_an_image_without_pixels_is_refused(small):
    with pytest.raises(RecipeError, match="extents of 1 or more"):
        require_training_memory(varied(small, task=small.task.model_copy(update={"image_size": (0, 64)})), Path())
