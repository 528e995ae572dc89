"""Boxes of a study lie on the study's own voxels, whatever way its axes run, and of its slices are joined."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import Task
from medkd.inference.detect_study import _joined, _own_pixels, _to_study
from medkd.inference.segment import PreparedStudy, prepare_study
from medkd.measures._boxes import Boxes, boxes_of_labels
from medkd.volumes.orientation import Grid

TASK = Task(kind="detection", classes=("background", "lesion"), image_size=(8, 16, 16), intensity="standardised")
PLAIN = np.array([[0, 0, 2.0, -10], [0, 2.0, 0, 5], [4.0, 0, 0, 100], [0, 0, 0, 1]], dtype=float)
MIRRORED = np.array([[0, 0, -2.0, 30], [0, -2.0, 0, 50], [-4.0, 0, 0, 200], [0, 0, 0, 1]], dtype=float)
SAGITTAL = np.array([[3.0, 0, 0, -10], [0, 0, 2.0, 5], [0, -2.0, 0, 100], [0, 0, 0, 1]], dtype=float)


@pytest.mark.parametrize("affine", [PLAIN, MIRRORED, SAGITTAL], ids=["plain", "mirrored", "sagittal"])
@pytest.mark.parametrize("spacing", [None, (2.0, 1.0, 1.0)], ids=["as it is", "resampled"])
def test_a_box_on_the_networks_voxels_is_the_box_on_the_studys(affine, spacing):
    shape = (10, 14, 18)
    labels = torch.zeros(shape, dtype=torch.uint8)
    labels[3:7, 4:10, 5:9] = 1
    prepared = prepare_study(labels.float(), Grid(shape, affine), TASK.model_copy(update={"spacing_mm": spacing}))
    there, _ = boxes_of_labels(prepared.alignment.labels_to_network(labels))
    found = _to_study(Boxes(there, torch.ones(1)), prepared)
    # Half a voxel where voxels were interpolated: labels end between them.
    tolerance = 1e-4 if spacing is None else 1.0
    torch.testing.assert_close(found.places, torch.tensor([[3.0, 4, 5, 7, 10, 9]]), atol=tolerance, rtol=0)


def test_boxes_that_go_on_from_slice_to_slice_are_one_lesion():
    first = Boxes(torch.tensor([[2.0, 2, 6, 6], [10.0, 10, 12, 12]]), torch.tensor([0.4, 0.9]))
    second = Boxes(torch.tensor([[2.0, 3, 6, 7]]), torch.tensor([0.7]))
    empty = Boxes(torch.zeros(0, 4), torch.zeros(0))
    found = _joined([first, second, empty, second])
    assert found.places.tolist() == [[0, 10, 10, 1, 12, 12], [0, 2, 2, 2, 6, 7], [3, 2, 3, 4, 6, 7]]
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.7, 0.7]))
    assert len(_joined([empty])) == 0


def test_boxes_of_a_letterboxed_picture_lie_on_its_own_pixels():
    task = Task(kind="detection", classes=("background", "lesion"), image_size=(32, 32))
    prepared = PreparedStudy(task, torch.zeros(1, 1, 32, 32), None, (128, 64))
    found = _own_pixels(Boxes(torch.tensor([[8.0, 4.0, 16.0, 40.0]]), torch.ones(1)), prepared)
    # 128 x 64 pixels become 32 x 16: four times as large, cut at the right edge, where the padding begins.
    assert found.places.tolist() == [[32, 16, 64, 64]]
