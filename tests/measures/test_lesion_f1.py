from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from medkd.measures.lesion_f1 import lesion_f1


def boxes(*places, shape=(20, 20)):
    mask = torch.zeros(shape, dtype=torch.uint8)
    for place in places:
        mask[place] = 1
    return mask[None]


A, B, C = np.s_[1:4, 1:4], np.s_[8:12, 8:12], np.s_[15:18, 2:5]


def test_counted_by_hand():
    # two lesions, one found, one missed, one false: TP 1, FP 1, FN 1
    assert float(lesion_f1(boxes(A, C), boxes(A, B))) == pytest.approx(0.5)
    assert float(lesion_f1(boxes(A, B), boxes(A, B))) == 1.0
    assert float(lesion_f1(boxes(C), boxes(A, B))) == 0.0


def test_a_lesion_is_found_only_once_and_only_with_enough_overlap():
    halves = boxes(np.s_[8:12, 8:9], np.s_[8:12, 10:12])  # two pieces of one lesion: one hit, one false positive
    assert float(lesion_f1(halves, boxes(B))) == pytest.approx(2 / 3)
    touching = boxes(np.s_[11:15, 11:15])  # one shared voxel of 31
    assert float(lesion_f1(touching, boxes(B))) == 0.0
    assert float(lesion_f1(touching, boxes(B), min_overlap=0.01)) == 1.0


def test_missing_and_invented_lesions_never_score_as_perfect():
    nothing = boxes()
    assert float(lesion_f1(nothing, boxes(A))) == 0.0
    assert float(lesion_f1(boxes(A), nothing)) == 0.0
    assert bool(lesion_f1(nothing, nothing).isnan())


@pytest.mark.parametrize("seed", range(6))
def test_the_matching_is_the_best_of_all(seed):
    generator = torch.Generator().manual_seed(seed)
    pair = [torch.nn.functional.max_pool2d((torch.rand(1, 1, 14, 14, generator=generator) > 0.93).float(), 3, 1, 1)[0] for _ in range(2)]
    (first, n), (second, m) = (ndimage.label(mask[0].numpy(), np.ones((3, 3))) for mask in pair)
    iou = np.array([[((first == i) & (second == j)).sum() / ((first == i) | (second == j)).sum() for j in range(1, m + 1)] for i in range(1, n + 1)])  # fmt: skip
    wide, narrow = (iou, m) if n >= m else (iou.T, n)
    best = max(itertools.permutations(range(len(wide)), narrow), key=lambda rows: sum(wide[r, c] * (wide[r, c] >= 0.1) for c, r in enumerate(rows)))  # fmt: skip
    hits = sum(wide[r, c] >= 0.1 for c, r in enumerate(best))
    assert float(lesion_f1(*pair)) == pytest.approx(2 * hits / (n + m))
