"""Cases of a folder, with what the table and the pictures say of their making."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from data_contracts import IngestPolicy, Task
from medkd.audit.open_folder import open_folder
from medkd.cohorts.external_dataset import FolderHints, describe_folder
from medkd.phantom.dicom_pictures import Picture, write_picture, write_picture_label
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.storage.store import Store
from tests.audit.conftest import TASK
from tests.cohorts.as_dicom import AS_DICOM, Labelled, write_twice


def test_pictures_bring_lesions_labels_and_columns(folder):
    assert len(folder.cases) == 32
    assert len(set(folder.patients)) == 16
    assert folder.labels[:4] == (0, 0, 1, 1)
    assert all(bool(case.lesion.any()) and float(case.image.min()) >= -1 for case in folder.cases)
    assert folder.metadata[0]["device"] == "A"
    assert float(folder.metadata[0]["aspect"]) == 1
    assert all(one is None for one in folder.painted)
    assert "Doe" not in str(folder.patients)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("volumes") / "v", np.random.default_rng(0)
    lines = ["case,subject"]
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number in range(3):
        mask = np.zeros((14, 12, 10), dtype=np.uint8)
        mask[4:9, 4:8, 3:6] = 1
        for kind, values in (("images", (rng.normal(0, 1, mask.shape) + 3 * mask).astype(np.float32)), ("masks", mask)):
            nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 1, 2 + number, 1])), root / kind / f"c{number}.nii.gz")
        lines.append(f"c{number},s{number}")
    (root / "cases.csv").write_text("\n".join(lines))
    return root


def test_volumes_bring_label_maps_and_their_spacing(volumes, tmp_path):
    task = Task(kind="segmentation", classes=("background", "lesion"), image_size=(8, 8, 8), intensity="standardised")
    found = open_folder(volumes, describe_folder(volumes, task, FolderHints()), task, Store(tmp_path, "s"))
    assert [float(line["spacing"]) for line in found.metadata] == [2, 3, 4]
    assert all(reference is not None and int(reference.max()) == 1 for reference in found.reference)
    assert found.labels == (-1,) * 3
    assert all(case.image.shape == case.lesion.shape == case.valid.shape for case in found.cases)


def test_dicom_brings_label_maps_and_what_headers_may_say(tmp_path):
    write_phantom_dicom(tmp_path / "export", studies=3, seed=4, faults=False)
    task = Task(kind="segmentation", classes=("background", "lesion"), image_size=(12, 64, 64))
    data = describe_folder(tmp_path / "export", task, FolderHints())
    found = open_folder(tmp_path / "export", data, task, Store(tmp_path / "scratch", "s"))
    assert [case.image.shape for case in found.cases] == [(12, 64, 64)] * 3
    assert all(reference is not None and int((reference > 0).sum()) > 0 for reference in found.reference)
    assert {line["modality"] for line in found.metadata} == {"CT"}
    assert {float(line["spacing"]) for line in found.metadata} == {36}
    classified = Task(kind="classification", classes=("benign", "malignant"), image_size=(12, 64, 64))
    again = open_folder(tmp_path / "export", data, classified, Store(tmp_path / "again", "s"))
    assert set(again.labels) == {0, 1}
    assert (again.painted, again.looked) == ((None,) * 3, 0)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a folder of pictures as PNG and as DICOM: in eight of twelve, letters are burnt in."""
    root, rng, made = tmp_path_factory.mktemp("written"), np.random.default_rng(3), []
    for number in range(12):
        pixels = np.clip(70 + rng.normal(0, 8, (120, 160)), 0, 255).astype(np.uint8)
        mask = np.zeros(pixels.shape, np.uint8)
        mask[30:60, 40 + number : 80] = 1
        if number < 8:
            shown = Image.fromarray(pixels)
            ImageDraw.Draw(shown).text((30, 90), "BREAST", fill=230, font=ImageFont.load_default(18))
            pixels = np.asarray(shown)
        made.append(Labelled(pixels, mask, TASK.classes[number % 2], number))
    write_twice(root, made)
    return root


def test_marks_are_found_in_pictures_of_dicom_as_in_the_same_png(written, tmp_path):
    found = {}
    for form in ("png", "dicom"):
        data = describe_folder(written / form, TASK, FolderHints())
        if form == "dicom":
            data = data.model_copy(update={"policy": IngestPolicy.model_validate(AS_DICOM["policy"])})
        found[form] = open_folder(written / form, data, TASK, Store(tmp_path / form, "s"))
    png, dicom = found["png"], found["dicom"]
    assert (png.looked, dicom.looked, sum(one is not None for one in dicom.painted)) == (12, 12, 8)
    for found_in_dicom, expected, case, other in zip(dicom.painted, png.painted, dicom.cases, png.cases, strict=True):
        assert torch.equal(case.image, other.image)
        assert (found_in_dicom is None and expected is None) or torch.equal(found_in_dicom, expected)


def test_pictures_of_more_than_8_bits_are_not_looked_at(tmp_path):
    for number, kind in enumerate(("US", "DX")):
        depth = np.uint8 if kind == "US" else np.uint16
        pixels = np.random.default_rng(number).integers(0, np.iinfo(depth).max // 16, (40, 40)).astype(depth)
        mask = np.zeros(pixels.shape, np.uint8)
        mask[10:20, 10:20] = 1
        made = Picture(pixels, kind=kind, patient=number, number=number, bits=8 if kind == "US" else 12)
        dataset = write_picture(tmp_path / "export" / kind / "picture.dcm", made)
        write_picture_label(tmp_path / "export" / kind / "seg.dcm", dataset, mask, TASK.classes[number])
    data = describe_folder(tmp_path / "export", TASK, FolderHints())
    data = data.model_copy(update={"policy": IngestPolicy.model_validate(AS_DICOM["policy"])})
    found = open_folder(tmp_path / "export", data, TASK, Store(tmp_path / "scratch", "s"))
    assert (len(found.cases), found.looked) == (2, 1)
