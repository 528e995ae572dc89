from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics.froc import compute_froc_curve_data, compute_froc_score

from medkd.measures.froc import OPERATING_POINTS, Detections, detect, froc, froc_curve, froc_score


def scene(*peaks, shape=(24, 24)):
    values = torch.zeros(shape)
    for row, column, score in peaks:
        values[row - 1 : row + 2, column - 1 : column + 2] = score / 2
        values[row, column] = score
    return values


def test_counted_by_hand():
    mask = torch.zeros(2, 24, 24, dtype=torch.uint8)
    mask[0, 3:8, 3:8] = 1
    mask[1, 10:14, 10:14] = 1
    found = torch.stack([scene((5, 5, 0.9), (20, 20, 0.6)), scene((20, 4, 0.8))])
    # one lesion of two found, before any false positive: .5 at every operating point
    assert float(froc(found, mask)) == pytest.approx(0.5)
    # its score below both false positives (1 per image): nothing at 1/8, 1/4, 1/2; half from 1 on
    late = torch.stack([scene((5, 5, 0.3), (20, 20, 0.6)), scene((20, 4, 0.8))])
    assert float(froc(late, mask)) == pytest.approx(0.5 * 4 / 7)


def test_a_second_hit_of_a_lesion_is_neither_rewarded_nor_punished():
    mask = torch.zeros(24, 24, dtype=torch.uint8)
    mask[2:22, 2:22] = 1
    one = detect(scene((5, 5, 0.9), (18, 18, 0.4)), mask)
    assert one.lesions.tolist() == pytest.approx([0.9])
    assert not len(one.false_positives)


def test_no_lesion_anywhere_is_undefined_and_a_missed_one_is_not_perfect():
    assert bool(froc(scene((5, 5, 0.9))[None], torch.zeros(1, 24, 24)).isnan())
    mask = torch.zeros(1, 24, 24)
    mask[0, 3:6, 3:6] = 1
    assert float(froc(torch.zeros(1, 24, 24), mask)) == 0.0
    assert bool(np.isnan(froc_score([])))


@pytest.mark.parametrize("seed", range(5))
def test_curve_and_score_are_monais_where_no_threshold_is_left_out(seed):
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(12):
        scores = rng.random(rng.integers(1, 4))
        scores[rng.random(len(scores)) < 0.3] = -np.inf
        images.append(Detections(scores, rng.random(rng.integers(0, 4))))
    images.append(Detections(np.array([-np.inf]), np.zeros(0)))  # one missed for sure: MONAI leaves out the lowest value, here the miss
    wrong = np.concatenate([image.false_positives for image in images])
    right = np.concatenate([np.where(np.isinf(image.lesions), 0.0, image.lesions) for image in images])
    rates, sensitivities = compute_froc_curve_data(wrong, right, len(right), len(images))
    student_values = froc_curve(images)
    np.testing.assert_allclose(student_values[0], rates[::-1])
    np.testing.assert_allclose(student_values[1], sensitivities[::-1])
    # MONAI interpolates between the steps; a staircase is never above the interpolation, and equal at the rates themselves
    assert froc_score(images) <= compute_froc_score(rates, sensitivities, OPERATING_POINTS) + 1e-12
    brute = [max([s for r, s in zip(rates, sensitivities, strict=True) if r <= point], default=0.0) for point in OPERATING_POINTS]
    assert froc_score(images) == pytest.approx(np.mean(brute))


def test_volumes_are_measured_like_pictures():
    flat, mask = scene((5, 5, 0.9), (20, 20, 0.6)), torch.zeros(24, 24)
    mask[3:8, 3:8] = 1
    deep = torch.stack([flat * 0, flat, flat * 0])
    assert float(froc(deep[None], torch.stack([mask * 0, mask, mask * 0])[None])) == float(froc(flat[None], mask[None]))
