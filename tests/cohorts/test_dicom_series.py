"""Several volumes of a DICOM study as the images of one case: which is which is said, all lie on one grid, and what is not there is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from data_contracts import DataError, DicomData, SeriesRule
from flows.prepare import prepare
from medkd.cohorts.open_cohort import open_volume_use
from medkd.cohorts.tensor_cohort import read_cohort
from medkd.storage.workspace import local_workspace
from medkd.training.recipes import read_recipe
from medkd.training.train import distill, train_teacher
from tests.dicom.drawn import draw_segmentation, draw_series

BIG = np.zeros((8, 20, 24), bool)
BIG[1:7, 2:16, 3:20] = True
CHANNELS = {"t1": {"words": ["T1"], "without": ["with contrast"]}, "t1c": {"words": ["t1", "With Contrast"]}, "t2": {"words": ["T2"]}}
#: The grid of the T2: other voxels, turned slices, and a little less of the patient.
OTHER = {"slices": 7, "matrix": (16, 13), "spacing": (1.2, 2.4), "axes": (1, 0, 0, 0, 0.96, 0.28)}


def linear(images, number):
    """Return voxels that are linear in the place, [slice, row, column], of images that are on disk."""
    voxels = []
    for image in images:
        axes, spacing = np.array(image.ImageOrientationPatient, float), np.array(image.PixelSpacing, float)
        rows, columns = np.meshgrid(np.arange(image.Rows), np.arange(image.Columns), indexing="ij")
        down, along = rows[..., None] * axes[3:] * spacing[0], columns[..., None] * axes[:3] * spacing[1]
        voxels.append((np.array(image.ImagePositionPatient, float) + down + along) @ np.array([4.0, 6.0, -5.0]) + 30 * number)
    return np.stack(voxels)


def write_series(folder, number, name, description, **options):
    """Write a series of MR whose values are linear in the place; returns its slices."""
    where = {
        "patient": f"Patient{number}",
        "series": name,
        "modality": "MR",
        "SeriesDescription": description,
        "ScanningSequence": "SE",
        **options,
    }
    values = linear(draw_series(folder / name, **where), number)
    return draw_series(folder / name, values=values, **where)


def write_study(folder, number):
    """Write T1, T1 after contrast and T2 of a patient, the lesion drawn on the first."""
    first = write_series(folder, number, "one", "T1 axial")
    write_series(folder, number, "two", "T1 axial post", ContrastBolusAgent="Gd", origin=(-10.0, -14.0, 32.0))
    write_series(folder, number, "three", "T2 axial", **OTHER)
    draw_segmentation(folder / "seg.dcm", first, {1: BIG}, {1: "Lesion"}, drawn_on=first, listed=[first])


def recipe_of(channels=CHANNELS, seen=("t1", "t2"), changes=None, **data):
    source = {"kind": "dicom", "path": "studies", "held_out": 0.34, "channels": channels, **data}
    small = {"epochs": 1, "batch_size": 2, "samples_per_epoch": 4, "learning_rate": 0.01, "precision": "fp32"}
    network = {"builder": "unet", "options": {"channels": [4, 8]}}
    return read_recipe(
        Path("flows/recipes/cross_modality.yaml"),
        {
            "name": "images",
            "data": source,
            "task.channels": list(seen),
            "task.image_size": [8, 16, 16],
            "task.spacing_mm": None,
            "task.intensity": "standardised",
            "teacher.inputs": list(seen),
            "student.inputs": [seen[0]],
            "teacher.network": network,
            "student.network": network,
            "teacher.fit": small,
            "student.fit": small,
            "teacher.gate": {"min_dice": 0.0},
            **(changes or {}),
        },
    )


def prepared(tmp_path, recipe):
    workspace = local_workspace(tmp_path / "run", data_root=tmp_path / "data")
    return workspace, prepare(workspace, (recipe,))[0].cohorts


@pytest.fixture
def studies(tmp_path):
    """Return the folder of three patients."""
    for number in range(3):
        write_study(tmp_path / "data" / "studies" / f"p{number}", number)
    return tmp_path / "data" / "studies"


def test_each_image_holds_at_each_voxel_of_the_first_what_lies_there_in_the_patient(studies, tmp_path):
    workspace, cohorts = prepared(tmp_path, recipe_of(seen=("t1", "t1c", "t2")))
    cohort = read_cohort(cohorts.uses["test"].cohort, workspace.store)
    assert cohort.channels == ("t1", "t1c", "t2")
    cases = cohort.cases
    assert len({case.patient_key for case in cases}) == len(cases) == 3
    for case in cases:
        arrays = load_file(workspace.store.path(case.image))
        measured = arrays["synthetic"].numpy() == 0
        assert 0.4 < measured.mean() < 0.9
        assert not measured[0].any()  # the T1 after contrast begins a slice higher
        for name in ("image/t1c", "image/t2"):
            # Between the outermost centres and the edges of voxels the nearest value stands: half a voxel at most.
            gap = np.abs(arrays[name].numpy() - arrays["image"].numpy())[measured]
            assert np.median(gap) < 1
            assert gap.max() < 0.5 * np.abs([4.0 * 2.4, 6.0 * 1.2, 5.0 * 2.0]).sum() + 1
    opened = open_volume_use(cohorts, "teacher_train", workspace.store, recipe_of().task)
    assert all(image.shape[0] == 2 for image in opened.images)
    assert all(bool(label.any()) for label in opened.labels)
    assert all(one is not None and bool(one.any()) for one in opened.synthetic)


def test_a_teacher_of_two_images_teaches_a_student_of_one(studies, tmp_path):
    recipe = recipe_of()
    workspace, cohorts = prepared(tmp_path, recipe)
    teacher = train_teacher(workspace, recipe.teacher_training(), cohorts)
    student = distill(workspace, recipe.student_training("kd", 0), cohorts, teacher)
    assert teacher.task.channels == ("t1", "t2")
    assert (student.task.channels, student.task.in_channels) == (("t1",), 1)


def refusals(tmp_path):
    return [*json.loads((tmp_path / "run" / "store" / "cohorts" / "images" / "labels.json").read_text())["refused"].values()]


def another_frame(folder):
    for path in (folder / "p0" / "three").glob("*.dcm"):
        path.unlink()
    write_series(folder / "p0", 0, "three", "T2 axial", FrameOfReferenceUID="1.2.3.4.5", **OTHER)


def far_away(folder):
    for path in (folder / "p0" / "three").glob("*.dcm"):
        path.unlink()
    write_series(folder / "p0", 0, "three", "T2 axial", **{**OTHER, "origin": (-10.0, -14.0, 42.0)})


def drawn_on_t2(folder):
    (folder / "p0" / "seg.dcm").unlink()
    images = write_series(folder / "p0", 0, "three", "T2 axial", **OTHER)
    mask = np.zeros((7, 16, 13), bool)
    mask[2:5, 4:9, 4:9] = True
    draw_segmentation(folder / "p0" / "seg.dcm", images, {1: mask}, {1: "Lesion"}, drawn_on=images, listed=[images])


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (
            lambda folder: [path.unlink() for path in (folder / "p0" / "three").glob("*.dcm")],
            "CHANNEL_MISSING",
            "expected a volume as t2 in the study",
        ),
        (
            lambda folder: write_series(folder / "p0", 0, "four", "T2 again"),
            "CHANNEL_AMBIGUOUS",
            "as t2, its rule finds 2: MR axial, 7 x 16 x 13",
        ),
        (another_frame, "CHANNEL_FRAME", "is in another"),
        (far_away, "CHANNEL_OUTSIDE", "expected t2 to reach a quarter of t1's volume or more"),
        (drawn_on_t2, "CHANNEL_LABEL", "it lies on t2: put that one first"),
    ],
)
def test_a_study_without_one_volume_for_each_image_is_left_out_and_said(studies, tmp_path, caplog, change, code, said):
    change(studies)
    workspace, cohorts = prepared(tmp_path, recipe_of())
    assert len(read_cohort(cohorts.uses["test"].cohort, workspace.store).cases) == 2
    found = refusals(tmp_path)
    assert {one["code"] for one in found} == {code}
    assert any(said in one["what"] for one in found)
    assert "labelled volumes are left out" in caplog.text


def test_two_channels_that_find_the_same_volume_are_refused(studies, tmp_path):
    rules = {"t2": {"words": ["T2"]}, "again": {"words": ["T2"], "modality": "MR"}}
    with pytest.raises(DataError, match="a volume of its own for each channel, t2 and again find the same") as caught:
        prepared(tmp_path, recipe_of(rules, ("t2", "again")))
    assert caught.value.code == "COHORT_EMPTY"


def test_a_rule_of_one_channel_says_which_of_several_series_is_the_image(studies, tmp_path):
    recipe = recipe_of({"t1": CHANNELS["t1"]}, ("t1",))
    workspace, cohorts = prepared(tmp_path, recipe)
    cohort = read_cohort(cohorts.uses["test"].cohort, workspace.store)
    assert len(cohort.cases) == 3
    assert all("synthetic" not in load_file(workspace.store.path(case.image)) for case in cohort.cases)


def only_case(workspace, cohorts):
    cohort = read_cohort(cohorts.uses["test"].cohort, workspace.store)
    return [load_file(workspace.store.path(case.image)) for case in cohort.cases]


def test_modalities_tell_images_apart(tmp_path):
    for number in range(3):
        folder = tmp_path / "data" / "studies" / f"p{number}"
        first = write_series(folder, number, "one", "anything")
        draw_series(folder / "two", patient=f"Patient{number}", series="two", modality="CT", values=np.full((8, 20, 24), 40 + number))
        draw_segmentation(folder / "seg.dcm", first, {1: BIG}, {1: "Lesion"}, drawn_on=first, listed=[first])
    rules = {"mr": {"modality": "MR"}, "ct": {"modality": "CT"}}
    arrays = only_case(*prepared(tmp_path, recipe_of(rules, ("mr", "ct"))))
    assert sorted(float(one["image/ct"].unique()) for one in arrays) == [40, 41, 42]


def test_volumes_of_one_series_are_images_by_their_coordinates(tmp_path):
    for number in range(3):
        folder, where = (
            tmp_path / "data" / "studies" / f"p{number}",
            {"patient": f"Patient{number}", "origin": (31.0 * number, -14.0, 30.0)},
        )
        for b_value in (500, 1000):
            images = draw_series(
                folder / f"b{b_value}", values=np.full((8, 20, 24), b_value + number), DiffusionBValue=float(b_value), **where
            )
            draw_segmentation(folder / f"seg{b_value}.dcm", images, {1: BIG}, {1: "Lesion"}, drawn_on=images, listed=[images])
    rules = {f"b{value}": {"coordinates": {"DiffusionBValue": value}} for value in (1000, 500)}
    arrays = only_case(*prepared(tmp_path, recipe_of(rules, ("b1000", "b500"))))
    assert sorted((float(one["image"].unique()), float(one["image/b500"].unique())) for one in arrays) == [
        (1000, 500),
        (1001, 501),
        (1002, 502),
    ]


def test_what_was_not_measured_in_one_image_is_not_measured_in_the_case(studies, tmp_path):
    lost = sorted((studies / "p0" / "three").glob("*.dcm"))[3]
    lost.unlink()
    policy = {"actions": {"MISSING_SLICES": "repair"}}
    arrays = only_case(*prepared(tmp_path, recipe_of(policy=policy)))
    assert len(arrays) == 3
    counts = sorted(int((one["synthetic"] == 0).sum()) for one in arrays)
    assert counts[1] == counts[2]
    # A slice that was made up lies between two of the case's: both took something from it.
    assert counts[0] < counts[1] - 20 * 24


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"modality": "MR"}, "expected modality and coordinates of each of data.channels"),
        ({"coordinates": {"EchoTime": 4.6}}, "expected modality and coordinates of each of data.channels"),
        ({"channels": {"t1": SeriesRule(modality="MR"), "t2": SeriesRule(modality="MR")}}, "t1 and t2 have the same"),
    ],
)
def test_rules_that_cannot_tell_volumes_apart_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        DicomData(**{"path": "studies", "channels": {"t1": SeriesRule(words=("T1",)), "t2": SeriesRule(words=("T2",))}, **changes})


def test_the_record_of_data_with_one_image_says_nothing_of_channels():
    assert "channels" not in DicomData(path="studies").model_dump()
