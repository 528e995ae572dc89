"""Folders measured: what a table, a list and the files say."""

from __future__ import annotations

import json
import shutil

import nibabel
import numpy as np
import pytest

from data_contracts import DataError, SourceError
from medkd.planning.decide import decide
from medkd.planning.read_folder import PlanHints, read_fingerprint
from medkd.planning.write_recipe import recipe_yaml
from medkd.training.recipes import read_recipe
from tests.audit.conftest import clinic  # noqa: F401 - a fixture


def test_pictures_by_their_table(clinic):  # noqa: F811
    found = read_fingerprint(clinic, PlanHints())
    assert (found.source, found.cases, found.patients) == ("image_folder", 32, 16)
    assert found.classes == {"benign": 16, "malignant": 16}
    assert found.median_shape == (48, 48)
    assert found.fields["id_column"] == "id"
    assert found.fields["path"] == "clinic"
    assert 0.03 < found.frequencies["lesion"] < 0.1
    assert set(found.lesions) == {1}
    assert "'benign'" in found.unknown[0]
    segmented = read_fingerprint(clinic, PlanHints(task="segmentation"))
    assert list(segmented.classes) == ["background", "lesion"]


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("planned") / "msd", np.random.default_rng(0)
    for name in ("imagesTr", "labelsTr"):
        (root / name).mkdir(parents=True)
    pairs = []
    for number in range(6):
        mask = np.zeros((14, 12, 10 + number), dtype=np.uint8)
        mask[4:9, 4:8, 3:6], mask[9:11, 4:6, 3:5] = 1, 2
        # The first axis runs to the right: it is turned before anything is measured.
        affine = np.diag([-1.0, 1.5, 3.0, 1.0])
        for kind, values in (("imagesTr", (100 + 50 * mask + rng.normal(0, 1, mask.shape)).astype(np.float32)), ("labelsTr", mask)):
            nibabel.save(nibabel.Nifti1Image(values, affine), root / kind / f"c_{number}.nii.gz")
        pairs.append({"image": f"./imagesTr/c_{number}.nii.gz", "label": f"./labelsTr/c_{number}.nii.gz"})
    listed = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "head", "2": "tail"}, "training": pairs, "numTraining": 6}
    (root / "dataset.json").write_text(json.dumps(listed))
    return root


def test_volumes_by_their_list(volumes):
    found = read_fingerprint(volumes, PlanHints(patient_pattern="odd-even"))
    assert list(found.classes) == ["background", "head", "tail"]
    assert found.median_shape == (12, 12, 14)
    assert found.median_spacing == (3, 1.5, 1)
    assert (found.modality, found.patients) == ("MRI", None)
    assert found.frequencies["head"] > found.frequencies["tail"] > 0
    assert 140 < found.percentiles[0] < 155
    assert found.unknown == ()
    assert found.fields["patient_pattern"] == "odd-even"


def test_several_images_of_a_case_are_named_and_have_no_unit_in_common(volumes, tmp_path):
    root = tmp_path / "stacked"
    shutil.copytree(volumes, root)
    for path in (root / "imagesTr").iterdir():
        image = nibabel.load(path)
        values = image.get_fdata(dtype=np.float32)
        nibabel.save(nibabel.Nifti1Image(np.stack([values, -values], -1), image.affine), path)
    listed = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**listed, "modality": {"0": "CT", "1": "PET"}}))
    found, alone = (read_fingerprint(folder, PlanHints(patient_pattern="odd-even")) for folder in (root, volumes))
    assert (found.channels, alone.channels) == (("CT", "PET"), ())
    assert (found.shapes == alone.shapes).all()
    assert found.percentiles == alone.percentiles
    text = recipe_yaml("stacked", found, decide(found, minutes=1))
    assert "\n  channels: [CT, PET]\n" in text
    assert "intensity: standardised" in text
    (tmp_path / "r.yaml").write_text(text)
    recipe = read_recipe(tmp_path / "r.yaml")
    assert recipe.teacher_training().task.in_channels == 2


def test_what_cannot_be_known_is_asked_for(volumes, clinic, tmp_path):  # noqa: F811
    with pytest.raises(DataError, match="--patient-pattern"):
        read_fingerprint(volumes, PlanHints())
    with pytest.raises(DataError, match="--column label to name") as caught:
        read_fingerprint(clinic, PlanHints(label_column="gone"))
    with pytest.raises(DataError, match="--column id to name"):
        read_fingerprint(clinic, PlanHints(id_column="gone"))
    assert caught.value.code == "TABLE_COLUMN"
    with pytest.raises(SourceError, match="none of them"):
        read_fingerprint(tmp_path, PlanHints())
    with pytest.raises(SourceError, match="found none at"):
        read_fingerprint(tmp_path / "gone", PlanHints())
    with pytest.raises(DataError, match="holds volumes"):
        read_fingerprint(volumes, PlanHints(task="classification"))
