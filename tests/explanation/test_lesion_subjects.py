from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import Entry, ExplanationRequest
from medkd.explanation.defaults import first_findings
from medkd.explanation.lesion_subjects import LesionStudyExplainer, elsewhere, halves
from medkd.explanation.subjects import Method
from medkd.inference.segment import prepare_study
from medkd.trace import LayerMap
from medkd.volumes.orientation import Grid, grid_of
from tests.explanation.studies import TASK


def test_halves_make_up_the_whole_and_elsewhere_is_elsewhere():
    inside = torch.zeros(4, 6, 8, dtype=torch.uint8)
    inside[1, 2:5, 1:6] = 1
    first, second = halves(inside)
    assert torch.equal(first + second, inside)
    assert abs(int(first.sum()) - int(second.sum())) <= 1
    assert not (elsewhere(inside) & inside).any()
    assert elsewhere(inside).any()


TEACHERS, ALONE = np.s_[12:16, 12:16, 18:22], np.s_[2:7, 2:7, 2:7]


class Demanding(torch.nn.Module):
    """Calls bright what is brightest only."""

    def forward(self, image):
        margin = (image > 0.9).float() * 2 - 1
        return torch.cat([-margin, margin], 1)


def found_in(loaded, make_volume, label=None, **asks):
    """Return what is explained of two bright boxes, of which the teacher marks the smaller one only."""
    values, volume = make_volume([TEACHERS, ALONE])
    values[ALONE] = 0.8
    study = prepare_study(values, Grid(volume.geometry.shape, np.array(volume.geometry.affine_lps_mm)), loaded.checkpoint.task)
    networks = {"student": loaded.network, "teacher": Demanding()}
    request = first_findings(Entry(name="saliency"), **asks)
    return LesionStudyExplainer(networks, study, volume, request, label), loaded.network


def test_what_the_teacher_marks_too_is_the_first_finding(loaded, make_volume):
    explainer, _ = found_in(loaded, make_volume)
    first, second = explainer.found.lesions
    assert (first.tracking_id, second.tracking_id) == ("lesion-1", "lesion-2")
    assert first.voxels < second.voxels
    assert first.share_in_teacher > 0.9
    assert second.share_in_teacher == 0.0
    assert [one.number for one in explainer.subjects] == [1, 2]


def test_only_the_asked_finding_is_explained_and_all_that_was_found_is_not_outside(loaded, make_volume):
    explainer, network = found_in(loaded, make_volume, lesion=2)
    (subject,) = explainer.subjects
    assert subject.number == 2
    assert not bool(explainer.outside(subject)[TEACHERS].any())
    maps = explainer.explain(network, Method("saliency", {}))
    assert maps.shape[0] == 1
    assert explainer.faithfulness(network, 0, maps[0]) == ()


def test_a_studys_own_segmentation_of_the_only_structure_is_compared_with(loaded, make_volume):
    label = torch.zeros(20, 24, 28, dtype=torch.uint8)
    label[TEACHERS] = 1
    explainer, _ = found_in(loaded, make_volume, label=label)
    first, second = explainer.found.lesions
    assert first.dice_to_reference > 0.5
    assert second.dice_to_reference == 0.0
    assert found_in(loaded, make_volume)[0].found.lesions[0].dice_to_reference is None


class Pictures(torch.nn.Module):
    """Calls bright what is bright, slice by slice; its only features are the pixels."""

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Conv2d(1, 1, 1, bias=False)
        self.features.weight.data.fill_(1.0)
        self.head = torch.nn.Conv2d(1, 2, 1, bias=False)
        self.head.weight.data = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)
        self.layer_map = LayerMap(feature_layers=("features",), cam_layer="features", head="head")

    def forward(self, image):
        return self.head(self.features(image))


def test_of_pictures_the_features_of_a_lesion_are_those_of_its_key_slice(make_volume):
    values, volume = make_volume([np.s_[3:6, 4:8, 4:8], np.s_[4:5, 4:10, 4:10]], shape=(8, 16, 16))
    values[3], values[5] = 0.6 * values[3], 0.8 * values[5]
    task = TASK.model_copy(update={"image_size": (16, 16)})
    study = prepare_study(values, grid_of(volume.geometry), task)
    request = ExplanationRequest(explainers=(Entry(name="saliency"),))
    explainer = LesionStudyExplainer({"student": Pictures().eval()}, study, volume, request, None)
    assert [one.key_slice for one in explainer.subjects] == [4]
    assert float(explainer.features(Pictures().eval())) == pytest.approx(1.0)
