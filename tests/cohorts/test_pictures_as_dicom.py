"""What is learnt from pictures does not depend on whether they come as PNG or as DICOM: arrays, splits, weights and figures are the same."""

from __future__ import annotations

import numpy as np
import pytest

from flows.prepare import prepare
from medkd.cohorts.open_cohort import open_pictures
from medkd.cohorts.tensor_cohort import read_cohort
from medkd.phantom.render import CLASSES, HU_OFFSET, HU_PER_UNIT, draw_cases, render_slices
from medkd.storage.workspace import local_workspace
from tests.cohorts.as_dicom import AS_DICOM, AS_PNG, Labelled, busbra, recipe_of, same_training, write_twice

SUBSETS = ("teacher_train", "teacher_validation", "student_train/0", "test")


def drawn(count):
    """Return phantom pictures of several sizes, two of each person."""
    cases = draw_cases(count, 5)
    hu, masks = render_slices(cases, cases.key_slice)
    shown = ((hu.numpy() - HU_OFFSET) * (255 / HU_PER_UNIT)).clip(0, 255).round().astype(np.uint8)
    sizes = [(64, 64), (60, 50), (40, 64)]
    return [
        Labelled(
            shown[n][: sizes[n % 3][0], : sizes[n % 3][1]],
            masks[n].numpy()[: sizes[n % 3][0], : sizes[n % 3][1]],
            CLASSES[cases.label[n]],
            n // 4 * 2 + n % 2,
        )
        for n in range(count)
        if masks[n].numpy()[: sizes[n % 3][0], : sizes[n % 3][1]].any()
    ]


def test_a_cohort_of_dicom_is_the_cohort_of_the_same_png(tmp_path):
    write_twice(tmp_path, drawn(48))
    opened = {}
    for data in (AS_PNG, AS_DICOM):
        recipe = recipe_of(data)
        workspace = local_workspace(tmp_path / "runs" / data["kind"], data_root=tmp_path)
        cohorts = prepare(workspace, (recipe,))[0].cohorts
        opened[data["kind"]] = {subset: open_pictures(cohorts, subset, workspace.store, recipe.task) for subset in SUBSETS}
        assert all(certificate.clean for certificate in cohorts.certificates)
        record = read_cohort(cohorts.uses["test"].cohort, workspace.store)
        assert {case.geometry for case in record.cases} == {None}
    for subset in SUBSETS:
        png, dicom = opened["image_folder"][subset], opened["dicom"][subset]
        assert len(png) > 3
        for name in ("images", "labels", "masks", "has_mask", "valid"):
            assert np.array_equal(getattr(png, name), getattr(dicom, name)), (subset, name)
        assert png.patients() == dicom.patients()
        assert [case.perceptual_hash for case in png.cases] == [case.perceptual_hash for case in dicom.cases]


@pytest.mark.extended
def test_what_is_learnt_from_breast_ultrasound_as_dicom_is_what_is_learnt_from_its_png(real_data, tmp_path):
    """BUS-BRA, the first patients of both classes: weights equal to the last bit, and so every figure."""
    folder = real_data / "breast_us_busbra"
    if not folder.is_dir():
        pytest.skip("breast_us_busbra absent from the real data")
    write_twice(tmp_path, busbra(folder, people=40))
    png, dicom = same_training(tmp_path)
    assert png == dicom
