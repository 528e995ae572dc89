"""What is found in a study: what is counted, whom it is compared with, and when the study is not what the model was trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from data_contracts import Entry, Task, TrainingDomain
from medkd.explanation.defaults import first_findings
from medkd.explanation.explain_study import StudyImages, explain_study
from medkd.review.caveats import compute_caveats
from medkd.trace import LayerMap

TASK = Task(kind="segmentation", classes=("background", "bright"), image_size=(16, 16, 16), window=(0.0, 1.0))


class Threshold(nn.Module):
    """Calls bright what is bright: its answer is known at every voxel."""

    def __init__(self):
        super().__init__()
        self.features, self.head = nn.Identity(), nn.Conv3d(1, 2, 1, bias=False)
        self.head.weight.data = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1, 1)
        self.layer_map = LayerMap(feature_layers=("features",), cam_layer="features", head="head")

    def forward(self, image):
        return self.head(self.features(image))


class Choosy(Threshold):
    """Calls bright what is brightest, and what is a little too dark for :class:`Threshold`."""

    def forward(self, image):
        marked = (image > 0.8) | ((image > -0.6) & (image < -0.1))
        return super().forward(0.0 * image + torch.where(marked, 1.0, -1.0))


@pytest.fixture
def studied(loaded, make_volume):
    def explain(boxes, brightness=(), teacher=None, label=None, **checkpoint):
        values, volume = make_volume(boxes)
        for number, box in enumerate(boxes):
            values[box] = brightness[number] if brightness else 1.0
        above = loaded.model.model_copy(update={"name": "t"}) if teacher is not None else None
        known = loaded.checkpoint.model_copy(update={"task": TASK, **checkpoint})
        one = loaded.__class__(loaded.model, known, Threshold(), above, teacher)
        return explain_study(StudyImages(values, volume, label=label), one, first_findings(Entry(name="input_times_gradient")))

    return explain


def boxes(n):
    return [np.s_[2:5, 2:5, 2 + 5 * i : 5 + 5 * i] for i in range(n)]


def caveats(result):
    return compute_caveats((result.record,))


def codes(result):
    return {caveat.code for caveat in caveats(result)}


def test_components_are_found_measured_and_their_maps_lie_on_them(studied):
    result = studied(boxes(2))
    record = result.record
    assert [lesion.voxels for lesion in record.lesions] == [27, 27]
    assert {one.model_role for one in record.maps} == {"student"}
    # each map supports its own component and not the other one
    assert [one.measure("relevance_mass_accuracy") for one in record.maps] == pytest.approx([1.0] * 2, abs=1e-3)
    assert [lesion.outside.share_outside for lesion in record.lesions] == pytest.approx([0.0, 0.0], abs=1e-3)
    assert record.mass == "positive"
    assert int((result.arrays["segmentation/student"] > 0).sum()) == 54


def test_the_first_findings_are_explained_and_the_others_are_counted(studied):
    result = studied(boxes(5))
    assert (len(result.record.lesions), result.record.explained) == (5, (1, 2, 3))
    assert {name for name in result.arrays if name.startswith("mask/")} == {"mask/1", "mask/2", "mask/3"}
    (payload,) = [caveat.text for caveat in caveats(result) if caveat.code == "NOT_EXPLAINED"]
    assert payload.startswith("2 more components are outlined but not explained; the largest has 0.22 ml.")
    assert "NOT_EXPLAINED" not in codes(studied(boxes(3)))


def test_nothing_found_is_an_answer(studied):
    result = studied([])
    assert (result.record.lesions, result.record.maps) == ((), ())
    assert not result.arrays["segmentation/student"].any()


def test_the_studys_own_segmentation_is_compared_with(studied):
    label = torch.zeros(20, 24, 28, dtype=torch.uint8)
    label[2:5, 2:5, 2:5] = 1
    lesions = studied(boxes(2), label=label).record.lesions
    assert [lesion.dice_to_reference for lesion in lesions] == [1.0, 0.0]
    assert studied(boxes(1)).record.lesions[0].dice_to_reference is None


@pytest.mark.parametrize(("largest", "warned"), [(None, False), ((40.0, 48.0, 56.0), False), ((30.0, 48.0, 56.0), False), ((20.0, 48.0, 56.0), True), ((40.0, 48.0, 30.0), True)])  # fmt: skip
def test_a_study_much_larger_than_any_of_the_training_is_said(studied, largest, warned):
    assert ("FIELD_OF_VIEW" in codes(studied(boxes(1), largest_extent_mm=largest))) is warned


@pytest.mark.parametrize(("modality", "code"), [("MR", "MODALITY_UNTRAINED"), ("CT", None)])
def test_a_study_of_a_modality_that_the_model_never_saw_is_said_first(studied, modality, code):
    result = studied(boxes(2), domain=TrainingDomain(modalities=(modality,), units=("HU",)), teacher=Choosy())
    first = caveats(result)[0]
    assert (first.code == "MODALITY_UNTRAINED") is (code is not None)
    assert first.severity == 3 or code is None
    assert "TRAINING_DATA_UNKNOWN" not in codes(result)


def test_of_a_model_from_before_it_is_said_that_its_training_is_unknown(studied):
    assert "TRAINING_DATA_UNKNOWN" in codes(studied(boxes(1)))


def test_a_finding_of_the_student_alone_never_stands_before_one_that_the_teacher_shares(studied):
    large = [np.s_[2:8, 2:8, 2 + 5 * i : 6 + 5 * i] for i in range(3)]
    small, missed = np.s_[2:5, 12:15, 22:25], np.s_[12:16, 12:16, 2:6]
    result = studied([*large, small, missed], brightness=(0.7, 0.7, 0.7, 1.0, 0.3), teacher=Choosy())
    found = result.record.lesions
    assert [lesion.voxels for lesion in found] == [27, 144, 144, 144]
    assert [lesion.tracking_id for lesion in found] == ["lesion-1", "lesion-2", "lesion-3", "lesion-4"]
    assert [(lesion.share_in_teacher, lesion.dice_to_teacher) for lesion in found[:2]] == [(1.0, 1.0), (0.0, 0.0)]
    assert [lesion.voxels for lesion in result.record.teacher_only] == [64]
    assert [caveat.code for caveat in caveats(result)][:3] == ["STUDENT_ONLY", "STUDENT_ONLY", "TEACHER_ONLY"]
    assert {"segmentation/student", "segmentation/teacher"} <= set(result.arrays)


def test_without_a_teacher_nothing_is_said_of_one(studied):
    result = studied(boxes(1))
    assert result.record.lesions[0].share_in_teacher is None
    assert not {"STUDENT_ONLY", "TEACHER_ONLY"} & codes(result)
    assert "segmentation/teacher" not in result.arrays
