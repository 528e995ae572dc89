from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_cdt

from medkd.distillation.boundary_kd import border_distance, boundary_kd
from medkd.trace import Sample, Trace
from tests.knowledge.precomputed import PrecomputedKnowledge


def traced(logits):
    return Trace(model=torch.nn.Identity(), inputs={"image": torch.zeros(len(logits), 1, 6, 6)}, outputs={"default": logits})


def answers(shape):
    answer = torch.zeros(shape, dtype=torch.int64)
    answer[(0, *(slice(2, 6),) * (len(shape) - 1))] = 1
    answer[(0, *(slice(4, 9),) * (len(shape) - 1))] = 2
    return answer


def chessboard(answer):
    """Return the distance to the nearest voxel of another class by SciPy, 0 for neighbours; classes one after another."""
    result = np.full(answer.shape, np.inf)
    for value in np.unique(answer):
        own = answer == value
        if not own.all():
            result[own] = distance_transform_cdt(own, metric="chessboard")[own] - 1
    return result


@pytest.mark.parametrize("shape", [(2, 16, 18), (1, 12, 13, 14)])
def test_the_distance_is_that_of_scipy(shape):
    answer, most = answers(shape), 5
    by_hand = np.stack([np.minimum(chessboard(case), most) for case in answer.numpy()])
    assert border_distance(answer, most=most).numpy() == pytest.approx(by_hand)


def test_voxels_weigh_by_their_distance_from_the_border():
    generator = torch.Generator().manual_seed(0)
    answer = answers((1, 16, 16))
    teacher = torch.nn.functional.one_hot(answer, 3).movedim(-1, 1) * 6.0 + torch.randn(1, 3, 16, 16, generator=generator)
    student = torch.randn(1, 3, 16, 16, generator=generator)
    p, q = teacher.double().softmax(1), student.double().softmax(1)
    divergence = (p * (p.log() - q.log())).sum(1)[0].numpy()
    weights = np.exp(-np.minimum(chessboard(teacher.argmax(1)[0].numpy()), math.ceil(4 * 1.5)) / 1.5)
    sample = Sample(inputs={"image": torch.zeros(1, 1, 16, 16)})
    value = boundary_kd(traced(student), PrecomputedKnowledge(teacher), sample, temperature=1.0, decay=1.5)
    assert float(value) == pytest.approx((divergence * weights).sum() / weights.sum(), rel=1e-5)
