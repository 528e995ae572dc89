"""Volumes from NIfTI: every file accounted for, people kept together, voxels untouched."""

from __future__ import annotations

import csv
import json
import shutil

import nibabel
import numpy as np
import pytest
import torch

from data_contracts import CohortUse, DataError, LeakageError, Outcome, Part, Ref, SourceError, Task, VolumeFolderData
from medkd.cohorts.volume_cohort import open_volumes
from medkd.cohorts.volume_folder import import_volume_folder, person_of
from medkd.storage.store import Store, write_bytes

TASK = Task(kind="segmentation", classes=("background", "front", "back"), image_size=(16, 16, 16), intensity="standardised")
DATA = VolumeFolderData(path=".", patient_pattern="odd-even")


def save(path, values, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


@pytest.fixture
def root(tmp_path):
    """Write eight volumes of four people as MSD does, axes in an order of their own."""
    rng, listed = np.random.default_rng(0), []
    affine = np.array([[0, 0, 1.5, 3], [-1, 0, 0, 4], [0, 2, 0, 5], [0, 0, 0, 1]], dtype=float)
    for number in range(1, 9):
        image, label = rng.normal(100, 20, (12, 10, 14)).astype(np.float32), np.zeros((12, 10, 14), dtype=np.uint8)
        label[2:6, 3:8, 4:9], label[6:9, 3:8, 4:9] = 1, 2
        name = f"brain_{number:03d}.nii.gz"
        save(tmp_path / "msd" / "imagesTr" / name, image, affine)
        save(tmp_path / "msd" / "labelsTr" / name, label, affine)
        listed.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    (tmp_path / "msd" / "dataset.json").write_text(json.dumps({"training": listed}))
    return tmp_path / "msd"


def imported(root, store, data=DATA, **options):
    return import_volume_folder(root, data, TASK, store, **options)


def test_files_of_one_person_stay_together(root, tmp_path):
    cohort, ledger = imported(root, Store(tmp_path / "s"))
    assert len({case.patient_key for case in cohort.cases}) == 4
    assert ledger.count(Outcome.ACCEPTED) == len(ledger.files) == 16
    assert b"brain" not in cohort.canonical_json()
    assert not any({c.patient_key for c in cohort.part(Part.TRAIN)} & {c.patient_key for c in cohort.part(Part.VALIDATION)})


@pytest.mark.parametrize(
    ("name", "rule", "person"),
    [("hippocampus_003", "odd-even", "hippocampus_pair2"), ("hippocampus_004", "odd-even", "hippocampus_pair2"), ("sub-07_ses-2", r"sub-(\d+)", "07")],
)  # fmt: skip
def test_rules_for_people(name, rule, person):
    assert person_of(name, rule) == person


@pytest.mark.parametrize("rule", ["odd-even", r"sub-(\d+)", "nobody"])
def test_a_rule_that_finds_nobody_is_said(rule):
    with pytest.raises(DataError) as caught:
        person_of("without", rule)
    assert caught.value.code == "PAIR_BY"


def test_voxels_stay_and_axes_are_the_patients(root, tmp_path):
    store = Store(tmp_path / "s")
    cohort, _ = imported(root, store, whole=Part.TEST)
    write_bytes(store.root / "all.json", cohort.canonical_json())
    opened = open_volumes(CohortUse(cohort=Ref(store=store.name, key="all.json", sha256=cohort.digest()), part=Part.TEST), store, TASK)
    source = nibabel.load(root / "imagesTr" / "brain_001.nii.gz")
    shard = store.read_tensors(cohort.cases[0].image)
    assert sorted(shard["image"].flatten().tolist()) == sorted(source.get_fdata().astype(np.float32).flatten().tolist())
    # slices go up, rows to the front of the patient's left-right axes: the affine says where each voxel was in the source
    affine = shard["affine_lps_mm"].numpy()
    k, j, i = 5, 3, 7
    x, y, z = (affine @ [k, j, i, 1])[:3]
    back = np.linalg.inv(source.affine) @ [-x, -y, z, 1]
    place = tuple(np.rint(back[:3]).astype(int))
    assert np.allclose(back[:3], place)
    assert float(shard["image"][k, j, i]) == pytest.approx(float(source.get_fdata()[place]), rel=1e-6)
    assert opened.spacing_mm(0) == pytest.approx((2.0, 1.0, 1.5))
    assert float(opened.images[0].mean()) == pytest.approx(0, abs=1e-4)
    assert torch.equal(opened.labels[0], opened.references[0])


def test_a_spacing_is_brought_about_when_a_cohort_is_opened_and_undone_for_scoring(root, tmp_path):
    store = Store(tmp_path / "s")
    cohort, _ = imported(root, store, whole=Part.TEST)
    write_bytes(store.root / "all.json", cohort.canonical_json())
    task = TASK.model_copy(update={"spacing_mm": (1.0, 1.0, 1.0)})
    opened = open_volumes(CohortUse(cohort=Ref(store=store.name, key="all.json", sha256=cohort.digest()), part=Part.TEST), store, task)
    assert opened.images[0].shape[1:] == opened.labels[0].shape
    assert tuple(opened.labels[0].shape) != tuple(opened.references[0].shape)
    # the label's volume in mm3 stays what it was, to the surface's accuracy
    native = float((opened.references[0] == 1).sum()) * 2.0 * 1.0 * 1.5
    assert float((opened.labels[0] == 1).sum()) == pytest.approx(native, rel=0.35)
    back = opened.alignments[0].to_source(torch.nn.functional.one_hot(opened.labels[0].long(), 3).movedim(-1, 0).float()).argmax(0)
    assert float((back == opened.references[0]).float().mean()) > 0.95


def test_faults_are_quarantined_with_their_reason(root, tmp_path):
    (root / "labelsTr" / "brain_001.nii.gz").unlink()
    (root / "imagesTr" / "brain_002.nii.gz").write_bytes(b"no volume")
    save(root / "labelsTr" / "brain_003.nii.gz", np.zeros((12, 10, 13), dtype=np.uint8), np.eye(4))
    save(
        root / "labelsTr" / "brain_004.nii.gz",
        np.full((12, 10, 14), 7, dtype=np.uint8),
        nibabel.load(root / "imagesTr" / "brain_004.nii.gz").affine,
    )
    save(root / "imagesTr" / "brain_099.nii.gz", np.zeros((4, 4, 4), dtype=np.float32), np.eye(4))
    cohort, ledger = imported(root, Store(tmp_path / "s"), whole=Part.TEST)
    reasons = {file.path: file.code.value for file in ledger.files if file.code is not None}
    assert reasons == {
        "imagesTr/brain_001.nii.gz": "LABEL_MISSING",
        "imagesTr/brain_002.nii.gz": "UNREADABLE_HEADER",
        "labelsTr/brain_002.nii.gz": "UNREADABLE_HEADER",
        "imagesTr/brain_003.nii.gz": "LABEL_GEOMETRY_MISMATCH",
        "labelsTr/brain_003.nii.gz": "LABEL_GEOMETRY_MISMATCH",
        "imagesTr/brain_004.nii.gz": "UNKNOWN_SEGMENT",
        "labelsTr/brain_004.nii.gz": "UNKNOWN_SEGMENT",
        "imagesTr/brain_099.nii.gz": "LABEL_MISSING",
    }
    assert len(cohort.cases) == 4
    assert len(ledger.files) == 16


def test_a_table_says_whose_a_file_is_and_may_not_split_a_person(root, tmp_path):
    rows = [
        {"case": f"brain_{n:03d}", "subject": f"S{n // 3}", "split": "val" if n > 5 else "train", "sex": "FM"[n % 2]} for n in range(1, 9)
    ]
    with (root / "cases.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    data = VolumeFolderData(path=".", table="cases.csv", part_column="split", attribute_columns=("sex",))
    cohort, _ = imported(root, Store(tmp_path / "s"), data)
    assert len(cohort.part(Part.VALIDATION)) == 3
    assert {case.attributes["sex"] for case in cohort.cases} == {"F", "M"}
    few, ledger = imported(root, Store(tmp_path / "s"), data.model_copy(update={"where": {"sex": "F"}}))
    assert (len(few.cases), len(ledger.files)) == (4, 8)
    text = (root / "cases.csv").read_text().replace("brain_008,S2,val", "brain_008,S2,train")
    (root / "cases.csv").write_text(text)
    with pytest.raises(LeakageError):
        imported(root, Store(tmp_path / "s"), data)


def test_a_class_per_volume_comes_from_the_table(root, tmp_path):
    shutil.rmtree(root / "labelsTr")
    (root / "imagesTr").rename(root / "images")
    rows = "\n".join(f"brain_{n:03d},S{n},{'sick' if n % 2 else 'well'}" for n in range(1, 9))
    (root / "cases.csv").write_text(f"case,subject,state\n{rows}\n")
    task = Task(kind="classification", classes=("well", "sick"), image_size=(8, 8, 8), intensity="standardised")
    data = VolumeFolderData(path=".", dataset=None, masks=None, table="cases.csv", label_column="state")
    store = Store(tmp_path / "s")
    cohort, _ = import_volume_folder(root, data, task, store, whole=Part.TEST)
    write_bytes(store.root / "all.json", cohort.canonical_json())
    use = CohortUse(cohort=Ref(store=store.name, key="all.json", sha256=cohort.digest()), part=Part.TEST)
    tensors = open_volumes(use, store, task).as_tensors(task)
    assert tensors.images.shape == (8, 1, 8, 8, 8)
    assert sorted(tensors.labels.tolist()) == [0] * 4 + [1] * 4
    assert not bool(tensors.has_mask.any())


def test_a_case_that_the_table_lists_and_the_folder_lacks_is_not_missed(root, tmp_path):
    (root / "imagesTr").rename(root / "images")
    (root / "labelsTr").rename(root / "masks")
    (root / "images" / "brain_003.nii.gz").unlink()
    (root / "masks" / "brain_003.nii.gz").unlink()
    (root / "cases.csv").write_text("case,subject\n" + "".join(f"brain_{n:03d},S{n}\n" for n in range(1, 9)))
    data = VolumeFolderData(path=".", dataset=None, table="cases.csv")
    cohort, ledger = imported(root, Store(tmp_path / "s"), data, whole=Part.TEST)
    assert len(cohort.cases) == 7
    assert {file.path: file.code.value for file in ledger.files if file.code is not None} == {"images/brain_003": "LABEL_WITHOUT_IMAGE"}


@pytest.mark.parametrize(
    ("change", "code"),
    [(None, "SOURCE_MISSING"), ("{", "DATASET_UNREADABLE"), ('{"training": [{"image": "/etc/passwd", "label": "x"}]}', "DATASET_UNREADABLE"), ('{"training": [{"image": "a/b.nii.gz", "label": "c/b.nii.gz"}]}', "COHORT_EMPTY")],
)  # fmt: skip
def test_a_list_that_cannot_be_used_says_why(root, tmp_path, change, code):
    if change is None:
        (root / "dataset.json").unlink()
    else:
        (root / "dataset.json").write_text(change)
    with pytest.raises((SourceError, DataError)) as caught:
        imported(root, Store(tmp_path / "s"))
    assert caught.value.code == code


def test_a_class_that_no_label_holds_stops_training_but_not_an_evaluation(root, tmp_path):
    task = TASK.model_copy(update={"classes": ("background", "front", "back", "side")})
    with pytest.raises(DataError) as caught:
        import_volume_folder(root, DATA, task, Store(tmp_path / "s"))
    assert caught.value.code == "CLASS_WITHOUT_LABEL"
    assert "none of side; the labels hold the values [0, 1, 2]" in caught.value.message
    cohort, _ = import_volume_folder(root, DATA, task, Store(tmp_path / "e"), whole=Part.TEST)
    assert len(cohort.cases) == 8


def test_the_faults_of_the_real_dataset_are_found(real_data, tmp_path):
    """Three faults that the source project really shipped: an orphan image, an orphan label, a label of another body."""
    source, root = real_data / "hippocampus_msd", tmp_path / "msd"
    if not source.is_dir():
        pytest.skip("real data absent: hippocampus_msd")
    listed = json.loads((source / "dataset.json").read_text())["training"][:6]
    for item in listed:
        for name in (item["image"], item["label"]):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, root / name)
    bad = source / "bad"
    shutil.copy(bad / "orphan_image_no_label" / "hippocampus_118.nii.gz", root / "imagesTr")
    shutil.copy(bad / "orphan_label_no_image" / "hippocampus_010.nii.gz", root / "labelsTr")
    shutil.copy(bad / "wrong_geometry_label" / "hippocampus_281.nii.gz", root / "labelsTr")
    shutil.copy(root / listed[0]["image"], root / "imagesTr" / "hippocampus_281.nii.gz")
    listed.append({"image": "./imagesTr/hippocampus_281.nii.gz", "label": "./labelsTr/hippocampus_281.nii.gz"})
    (root / "dataset.json").write_text(json.dumps({"training": listed}))
    cohort, ledger = imported(root, Store(tmp_path / "s"), whole=Part.TEST)
    assert len(cohort.cases) == 6
    assert {file.path: file.code.value for file in ledger.files if file.code is not None} == {
        "imagesTr/hippocampus_118.nii.gz": "LABEL_MISSING",
        "labelsTr/hippocampus_010.nii.gz": "LABEL_WITHOUT_IMAGE",
        "imagesTr/hippocampus_281.nii.gz": "LABEL_GEOMETRY_MISMATCH",
        "labelsTr/hippocampus_281.nii.gz": "LABEL_GEOMETRY_MISMATCH",
    }
