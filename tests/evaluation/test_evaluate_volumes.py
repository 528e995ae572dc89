from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from data_contracts import Case, Ref, Task
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.evaluation.evaluate_volumes import class_names, compare_maps, evaluate_volumes, score_answer
from medkd.trace import LayerMap
from medkd.volumes.orientation import Grid
from medkd.volumes.resample import align

ONE = Task(kind="segmentation", classes=("background", "lesion"), image_size=(8, 8, 8), window=(0.0, 1.0))
TWO = ONE.model_copy(update={"classes": ("background", "Left Kidney", "cyst")})


def test_classes_are_called_as_in_names_of_figures():
    assert class_names(TWO) == ("left_kidney", "cyst")


def test_with_one_foreground_class_names_carry_no_suffix_and_pictures_count_in_pixels():
    answer = torch.zeros(4, 4, dtype=torch.int64)
    answer[1:3, 1:3] = 1
    values = score_answer(answer, answer, ONE, spacing_mm=None)
    assert set(values) == {"dice", "hausdorff_95_px", "surface_dice_px", "lesion_f1"}
    assert {name: float(value) for name, value in values.items()} == {
        "dice": 1.0,
        "hausdorff_95_px": 0.0,
        "surface_dice_px": 1.0,
        "lesion_f1": 1.0,
    }


def test_each_class_is_scored_on_its_own_and_the_mean_is_over_those_that_are_defined():
    answer, label = torch.zeros(2, 4, 4, 4, dtype=torch.int64)
    label[:2, :2, :2] = 1
    answer[:2, :2, :1] = 1
    values = score_answer(answer, label, TWO, spacing_mm=(2.0, 1.0, 1.0))
    assert float(values["dice_left_kidney"]) == pytest.approx(2 * 4 / 12)
    assert math.isnan(float(values["dice_cyst"]))
    assert float(values["dice"]) == pytest.approx(2 * 4 / 12)
    assert float(values["hausdorff_95_left_kidney"]) == pytest.approx(1.0)
    assert {"surface_dice_cyst", "lesion_f1_left_kidney"} <= set(values)


class Threshold(nn.Module):
    """Calls a lesion what is bright, and looks at nothing else."""

    def __init__(self, sign=1.0):
        super().__init__()
        self.features, self.head = nn.Identity(), nn.Conv3d(1, 2, 1, bias=False)
        self.head.weight.data = sign * torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1, 1)
        self.layer_map = LayerMap(feature_layers=("features",), cam_layer="features", head="head")

    def forward(self, image):
        return self.head(self.features(image))


def volumes(n):
    labels = torch.zeros(n, 8, 8, 8, dtype=torch.uint8)
    for row in range(n):
        labels[row, 2:5, 2:5, 2 + row : 5 + row] = 1
    alignment = align(Grid((8, 8, 8), np.eye(4)), ONE)
    images = tuple(alignment.to_network(label.float())[None] * 2 - 1 for label in labels)
    turned = tuple(alignment.labels_to_network(label) for label in labels)
    cases = tuple(Case(case_key=f"c{k}", patient_key=f"p{k}", image=Ref(store="s", key="k", sha256="a" * 64)) for k in range(n))
    return VolumeCohort(cases, images, turned, (True,) * n, (alignment,) * n, tuple(labels), (None,) * n)


def test_a_network_that_is_right_scores_so_on_every_case_and_agrees_with_itself():
    arrays = evaluate_volumes(Threshold(), Threshold(), volumes(3), ONE)
    assert all(len(values) == 3 and values.dtype is torch.float64 for values in arrays.values())
    assert arrays["test/dice"].tolist() == arrays["test/dice_to_teacher"].tolist() == [1.0] * 3
    assert arrays["test/agreement"].tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    assert arrays["test/pointing"].tolist() == [1.0] * 3


def test_both_networks_explain_what_the_teacher_answers():
    against = compare_maps(Threshold(-1.0), Threshold(), volumes(3), ONE)
    assert against["agreement"].tolist() == pytest.approx([-1.0] * 3, abs=1e-5)
