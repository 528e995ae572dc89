"""Further images and clinical rows of cases: drawn, read from folders and tables, standardised, opened for who sees them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

import flows
from data_contracts import CohortUse, DataError, ImageFolderData, Part, Ref, Task, TrainingConfig, VolumeFolderData
from medkd.cohorts.case_inputs import channel_keys, read_row, row_planes, scale_of, standardised
from medkd.cohorts.check_source import source_problems
from medkd.cohorts.image_folder import import_image_folder
from medkd.cohorts.open_cohort import open_pictures
from medkd.cohorts.phantom_cohorts import prepare_phantom_cohorts
from medkd.cohorts.tensor_cohort import open_cohort
from medkd.cohorts.volume_cohort import open_volumes
from medkd.cohorts.volume_folder import import_volume_folder
from medkd.storage.store import Store, write_bytes
from medkd.training.recipes import read_recipe

RECIPES = Path(flows.__file__).parent / "recipes"
FEW = {f"data.{name}": 8 for name in ("teacher", "teacher_validation", "student", "test")} | {"data.unlabelled": 0, "seeds": [0]}
ROWS = Task(kind="classification", classes=("benign", "malignant"), image_size=(16, 16), clinical=("age", "marker"))


def prepared(name, tmp_path, changes=None):
    recipe = read_recipe(RECIPES / name, {**FEW, **(changes or {})})
    store = Store(tmp_path, "run")
    return recipe, store, prepare_phantom_cohorts(recipe.cohorts(), recipe.data, store)


@pytest.mark.parametrize("size", [[64, 64], pytest.param([4, 16, 16], marks=pytest.mark.extended)])
def test_each_network_opens_its_own_sequence_of_the_phantom(tmp_path, size):
    recipe, store, cohorts = prepared("cross_modality.yaml", tmp_path, {"task.image_size": size})
    opened = {
        who: open_pictures(cohorts, "test", store, task)
        for who, task in {"all": recipe.task, "teacher": recipe.teacher_task(), "student": recipe.student_task()}.items()
    }
    assert [opened[who].images.shape[1] for who in ("all", "teacher", "student")] == [2, 1, 1]
    assert torch.equal(opened["all"].images, torch.cat([opened["teacher"].images, opened["student"].images], 1))
    assert not torch.equal(opened["teacher"].images, opened["student"].images)
    assert torch.equal(opened["teacher"].masks, opened["student"].masks)
    # The plain form of a recipe is the first sequence.
    plain = open_pictures(cohorts, "test", store, recipe.task.model_copy(update={"channels": ("enhanced",)}))
    assert torch.equal(plain.images, opened["teacher"].images)
    with pytest.raises(DataError, match="'t9' is not there") as caught:
        open_pictures(cohorts, "test", store, recipe.task.model_copy(update={"channels": ("plain", "t9")}))
    assert caught.value.code == "COHORT_CHANNELS"


def test_rows_of_the_phantom_are_standardised_on_the_teachers_training_patients(tmp_path):
    recipe, store, cohorts = prepared("privileged_row.yaml", tmp_path, {"data.teacher": 40, "data.test": 40})
    train, test = (open_pictures(cohorts, subset, store, recipe.task) for subset in ("teacher_train", "test"))
    assert train.images.shape[1] == 1 + 2 * 3
    values, absent = train.images[:, 1:4, 0, 0], train.images[:, 4:, 0, 0]
    assert (train.images[:, 1:] == train.images[:, 1:, :1, :1]).all()
    for column in range(3):
        known = values[absent[:, column] == 0, column]
        assert abs(float(known.mean())) < 1e-5
        assert abs(float(known.std(correction=0)) - 1) < 1e-5
    assert set(absent.unique().tolist()) == {0.0, 1.0}
    assert (values[absent == 1] == 0).all()
    # The test is scaled as the training was, not by itself.
    assert abs(float(test.images[:, 2, 0, 0].mean())) > 1e-4
    assert open_pictures(cohorts, "test", store, recipe.student_task()).images.shape[1] == 1


def test_a_case_without_a_column_is_refused(tmp_path):
    recipe, store, cohorts = prepared("privileged_row.yaml", tmp_path)
    with pytest.raises(DataError, match="clinical column 'weight' in every case") as caught:
        open_pictures(cohorts, "test", store, recipe.task.model_copy(update={"clinical": ("age", "weight")}))
    assert caught.value.code == "COHORT_CLINICAL"


def test_scales_are_of_what_is_there():
    rows = [{"age": 50.0, "marker": None}, {"age": 70.0, "marker": 3.0}, {"age": 60.0, "marker": 5.0}]
    scale = scale_of(rows)
    assert scale == {"age": (60.0, pytest.approx(np.std([50, 70, 60]))), "marker": (4.0, 1.0)}
    assert standardised(rows[0], scale)["marker"] is None
    assert standardised(rows[1], scale)["marker"] == -1.0
    with pytest.raises(DataError, match="'marker' of the training patients, 1 of 2") as caught:
        scale_of(rows[:2])
    assert caught.value.code == "CLINICAL_CONSTANT"
    assert scale_of([]) == {}
    assert row_planes((), ROWS.model_copy(update={"clinical": ()}), (2, 2)).shape == (0, 0, 2, 2)
    assert channel_keys("images", (), ROWS) == ("images",)


@pytest.mark.parametrize(
    ("line", "code", "sentence"),
    [
        ({"age": "50"}, "TABLE_COLUMN", "'marker' in cases.csv, it has \\['age'\\]"),
        ({"age": "fifty", "marker": "1"}, "TABLE_NUMBER", "'age' of cases.csv, got 'fifty'"),
        ({"age": "nan", "marker": "1"}, "TABLE_NUMBER", "got 'nan'"),
    ],
)
def test_a_table_that_cannot_be_read_as_rows_is_refused(line, code, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        read_row(line, ROWS, "cases.csv")
    assert caught.value.code == code
    assert read_row({"age": "50", "marker": ""}, ROWS, "cases.csv") == {"age": 50.0, "marker": None}


def opened(cohort, part, store, task, how):
    payload = cohort.canonical_json()
    write_bytes(store.root / "all.json", payload)
    return how(CohortUse(cohort=Ref(store=store.name, key="all.json", sha256=cohort.digest()), part=part), store, task)


def test_a_table_of_pictures_gives_rows(tmp_path):
    lines = ["ID,patient,label,age,marker,part"]
    (tmp_path / "images").mkdir()
    for number in range(8):
        Image.fromarray(np.full((16, 16), 20 * number, dtype=np.uint8)).save(tmp_path / "images" / f"c{number}.png")
        lines.append(
            f"c{number},p{number},{('benign', 'malignant')[number % 2]},{40 + number},{'' if number == 5 else number},{'val' if number > 5 else 'train'}"
        )
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    data = ImageFolderData(path=".", masks=None, part_column="part")
    store = Store(tmp_path / "store")
    cohort, _ = import_image_folder(tmp_path, data, ROWS, store)
    assert cohort.clinical_scale["age"] == (42.5, pytest.approx(np.std(range(6))))
    found = opened(cohort, Part.TRAIN, store, ROWS, open_cohort)
    assert found.images.shape == (6, 5, 16, 16)
    assert found.images[5, 4, 0, 0] == 1 > found.images[5, 3, 0, 0] == 0
    problems = list(
        source_problems(
            data.model_copy(update={"path": tmp_path.name}), ROWS.model_copy(update={"clinical": ("age", "wieght")}), tmp_path.parent
        )
    )
    assert [(field, error.code) for field, error in problems] == [("table", "TABLE_COLUMN")]


def volumes(tmp_path, *, shifted=False, count=4):
    draw = np.random.default_rng(0)
    for number in range(count):
        for folder in ("imagesA", "imagesB", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
            affine = np.eye(4)
            affine[0, 3] = 5.0 * (shifted and folder == "imagesB" and number == 0)
            values = (
                draw.normal(0, 100, (8, 8, 8)).astype(np.float32) if folder != "masks" else (draw.random((8, 8, 8)) > 0.7).astype(np.uint8)
            )
            nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / folder / f"v_{number}.nii.gz")
    return VolumeFolderData(
        path=".", dataset=None, images="imagesA", masks="masks", patient_pattern="odd-even", channels={"t1": "imagesA", "t2": "imagesB"}
    )


VOLUMES = Task(kind="segmentation", classes=("background", "lesion"), image_size=(8, 8, 8), channels=("t1", "t2"))


def test_volumes_with_several_images_are_imported_side_by_side(tmp_path):
    data, store = volumes(tmp_path), Store(tmp_path / "store")
    cohort, ledger = import_volume_folder(tmp_path, data, VOLUMES, store, whole=Part.TEST)
    assert cohort.channels == ("t1", "t2")
    assert all(file.outcome.value == "accepted" for file in ledger.files)
    assert len(ledger.files) == 12
    both, second = (opened(cohort, Part.TEST, store, task, open_volumes) for task in (VOLUMES, VOLUMES.seen_through(("t2",))))
    assert [image.shape[0] for image in both.images] == [2] * 4
    assert all(torch.equal(one[1:], other) for one, other in zip(both.images, second.images, strict=True))
    # A patch is cut at one place of all of them.
    fit, rows = TrainingConfig(epochs=1, batch_size=2), torch.arange(3)
    small = [task.model_copy(update={"image_size": (4, 4, 4)}) for task in (VOLUMES, VOLUMES.seen_through(("t2",)))]
    drawn = [
        cohort.draw(rows, task, fit, torch.Generator().manual_seed(3)).image for cohort, task in zip((both, second), small, strict=True)
    ]
    assert torch.equal(drawn[0][:, 1:], drawn[1])


def test_an_image_on_another_grid_or_without_its_pair_is_quarantined(tmp_path):
    data = volumes(tmp_path, shifted=True)
    (tmp_path / "imagesB" / "v_1.nii.gz").unlink()
    cohort, ledger = import_volume_folder(tmp_path, data, VOLUMES, Store(tmp_path / "store"), whole=Part.TEST)
    assert len(cohort.cases) == 2
    codes = {file.path: file.code.value for file in ledger.files if file.code is not None}
    assert codes["imagesA/v_0.nii.gz"] == "LABEL_GEOMETRY_MISMATCH"
    assert codes["imagesA/v_1.nii.gz"] == "LABEL_WITHOUT_IMAGE"


def as_listed(tmp_path, kind):
    """Write the volumes of the folders as a data set of nnU-Net, or of the Decathlon with both images in one file."""
    root, cases = tmp_path / kind, sorted(path.name[: -len(".nii.gz")] for path in (tmp_path / "masks").iterdir())
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for case in cases:
        shutil.copy(tmp_path / "masks" / f"{case}.nii.gz", root / "labelsTr" / f"{case}.nii.gz")
        both = [nibabel.load(tmp_path / folder / f"{case}.nii.gz") for folder in ("imagesA", "imagesB")]
        if kind == "nnunet":
            for number, image in enumerate(both):
                nibabel.save(image, root / "imagesTr" / f"{case}_{number:04d}.nii.gz")
        else:
            stacked = np.stack([image.get_fdata(dtype=np.float32) for image in both], -1)
            nibabel.save(nibabel.Nifti1Image(stacked, both[0].affine), root / "imagesTr" / f"{case}.nii.gz")
    names, labels = {"0": "t1", "1": "t2"}, {"background": 0, "lesion": 1}
    listed = {"channel_names": names, "labels": labels, "file_ending": ".nii.gz"}
    if kind == "decathlon":
        pairs = [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in cases]
        listed = {"modality": names, "labels": {"0": "background", "1": "lesion"}, "training": pairs}
    (root / "dataset.json").write_text(json.dumps(listed))
    return root, VolumeFolderData(path=".", patient_pattern="odd-even")


@pytest.mark.parametrize("kind", ["nnunet", "decathlon"])
def test_a_list_with_several_images_of_a_case_is_that_of_folders_side_by_side(tmp_path, kind):
    folders = import_volume_folder(tmp_path, volumes(tmp_path, count=5), VOLUMES, Store(tmp_path / "first"), whole=Part.TEST)[0]
    root, data = as_listed(tmp_path, kind)
    store = Store(tmp_path / "second")
    cohort, ledger = import_volume_folder(root, data, VOLUMES, store, whole=Part.TEST)
    assert cohort.channels == ("t1", "t2")
    assert [case.case_key for case in cohort.cases] == [case.case_key for case in folders.cases]
    for one, other in zip(cohort.cases, folders.cases, strict=True):
        held, wanted = store.read_tensors(one.image), Store(tmp_path / "first").read_tensors(other.image)
        assert held.keys() == wanted.keys() == {"image", "image/t2", "label", "affine_lps_mm"}
        assert all(torch.equal(held[name], wanted[name]) for name in held)
    assert len(ledger.files) == (15 if kind == "nnunet" else 10)
    # An image of a case that is not taken belongs to it nevertheless.
    some, files = import_volume_folder(root, data.model_copy(update={"most": 4}), VOLUMES, store, whole=Part.TEST)
    assert (len(some.cases), {file.outcome.value for file in files.files}) == (4, {"accepted"})
    for task, named in ((VOLUMES.seen_through(()), "it names none"), (VOLUMES.model_copy(update={"channels": ("t1", "dwi")}), "'dwi'")):
        with pytest.raises(DataError, match=named) as caught:
            import_volume_folder(root, data, task, store, whole=Part.TEST)
        assert caught.value.code == "DATASET_CHANNELS"
        assert [(place, error.code) for place, error in source_problems(data.model_copy(update={"path": kind}), task, tmp_path)] == [
            ("dataset", "DATASET_CHANNELS")
        ]


@pytest.mark.parametrize("kind", ["nnunet", "decathlon"])
def test_a_case_that_lacks_an_image_of_the_list_is_quarantined(tmp_path, kind):
    volumes(tmp_path)
    root, data = as_listed(tmp_path, kind)
    if kind == "nnunet":
        (root / "imagesTr" / "v_2_0000.nii.gz").unlink()
    else:
        shutil.copy(tmp_path / "imagesA" / "v_2.nii.gz", root / "imagesTr" / "v_2.nii.gz")
    cohort, ledger = import_volume_folder(root, data, VOLUMES, Store(tmp_path / "store"), whole=Part.TEST)
    assert len(cohort.cases) == 3
    refused = {file.path: (file.code.value, file.evidence) for file in ledger.files if file.code is not None}
    if kind == "nnunet":
        assert refused.keys() == {"imagesTr/v_2_0001.nii.gz", "labelsTr/v_2.nii.gz"}
        assert {code for code, _ in refused.values()} == {"LABEL_WITHOUT_IMAGE"}
    else:
        assert refused["imagesTr/v_2.nii.gz"][0] == "UNREADABLE_HEADER"
        assert "2 images along the fourth axis" in refused["imagesTr/v_2.nii.gz"][1]


def test_the_first_of_the_channels_is_the_image_of_the_case():
    with pytest.raises(ValueError, match=r"the first is data\.images"):
        VolumeFolderData(path=".", dataset=None, patient_pattern="odd-even", channels={"t1": "imagesA"})
    with pytest.raises(ValueError, match="no list of the data set"):
        VolumeFolderData(path=".", patient_pattern="odd-even", channels={"t1": "images"})
