"""Boxes against counting by hand, and against the overlap of filled masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medkd.measures._boxes import Boxes, box_iou, boxes_of_labels, centre_of, match


def filled(box, space):
    mask = np.zeros(space, dtype=bool)
    axes = len(space)
    mask[tuple(slice(int(low), int(high)) for low, high in zip(box[:axes], box[axes:], strict=True))] = True
    return mask


@pytest.mark.parametrize("space", [(12, 15), (6, 9, 8)])
def test_the_overlap_of_boxes_is_that_of_their_filled_masks(space):
    draw = np.random.default_rng(0)
    boxes = []
    for _ in range(12):
        ends = np.sort(draw.integers(0, np.array(space)[:, None] + 1, (len(space), 2)), axis=1)
        ends[:, 1] = np.maximum(ends[:, 1], ends[:, 0] + 1).clip(max=space)
        ends[:, 0] = np.minimum(ends[:, 0], ends[:, 1] - 1)
        boxes.append([*ends[:, 0], *ends[:, 1]])
    masks = [filled(box, space) for box in boxes]
    wanted = [[(a & b).sum() / (a | b).sum() for b in masks] for a in masks]
    places = torch.tensor(np.array(boxes), dtype=torch.float32)
    np.testing.assert_allclose(box_iou(places, places).numpy(), wanted, atol=1e-6)


def test_each_component_of_a_label_map_is_a_box_of_the_class_that_most_of_it_has():
    labels = torch.zeros(8, 10, dtype=torch.int64)
    labels[1:3, 2:6], labels[2, 5] = 2, 1
    labels[5:8, 9] = 1
    boxes, classes = boxes_of_labels(labels)
    assert boxes.tolist() == [[1, 2, 3, 6], [5, 9, 8, 10]]
    assert classes.tolist() == [2, 1]
    assert centre_of(boxes).tolist() == [[2, 4], [6.5, 9.5]]


@pytest.mark.parametrize("missing", [torch.zeros(4, 4, dtype=torch.int64), torch.full((4, 4), -1)])
def test_a_map_without_lesions_has_no_boxes(missing):
    boxes, classes = boxes_of_labels(missing)
    assert boxes.shape == (0, 4)
    assert classes.shape == (0,)


LESIONS = torch.tensor([[0.0, 0.0, 4.0, 4.0], [10.0, 10.0, 14.0, 14.0]])
#: A whole hit, a second one of the same lesion, one beside everything, and one that overlaps the other lesion by 4 of 28 pixels.
FOUND = Boxes(
    torch.tensor([[0.0, 0, 4, 4], [1.0, 1, 4, 4], [20.0, 20, 24, 24], [12.0, 12, 16, 16]]),
    torch.tensor([0.9, 0.8, 0.7, 0.6]),
)


def test_a_second_hit_is_punished_where_boxes_count_and_not_where_centres_do():
    by_box, by_centre = match(FOUND, LESIONS, "iou10"), match(FOUND, LESIONS, "centre")
    np.testing.assert_allclose(by_box.lesions, [0.9, 0.6], atol=1e-6)
    np.testing.assert_allclose(by_box.false_positives, [0.8, 0.7], atol=1e-6)
    np.testing.assert_allclose(by_centre.lesions, [0.9, 0.6], atol=1e-6)
    np.testing.assert_allclose(by_centre.false_positives, [0.7], atol=1e-6)


def test_half_of_the_union_is_asked_where_it_is_asked():
    found = match(FOUND, LESIONS, "iou50")
    np.testing.assert_allclose(found.lesions, [0.9, -np.inf], atol=1e-6)
    assert len(found.false_positives) == 3


def test_the_better_detection_chooses_first_whatever_the_order():
    order = torch.tensor([3, 1, 0, 2])
    shuffled = Boxes(FOUND.places[order], FOUND.scores[order])
    np.testing.assert_array_equal(match(shuffled, LESIONS, "iou10").lesions, match(FOUND, LESIONS, "iou10").lesions)


def test_a_case_without_lesions_counts_false_positives_only():
    found = match(FOUND, torch.zeros(0, 4), "centre")
    assert len(found.lesions) == 0
    assert len(found.false_positives) == 4
