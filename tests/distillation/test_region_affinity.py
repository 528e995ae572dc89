from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from medkd.distillation.region_affinity import region_affinity
from medkd.knowledge.interface import LAST
from medkd.trace import Sample
from tests.knowledge.precomputed import PrecomputedKnowledge


def regions_of(logits):
    """Sort the voxels [classes, *space] of one case into (class, sure or not), in plain loops."""
    flat = logits.reshape(logits.shape[0], -1).T
    answers, margins = flat.argmax(1), np.sort(flat, 1)[:, -1] - np.sort(flat, 1)[:, -2]
    found = {}
    for c in range(flat.shape[1]):
        of_class = np.flatnonzero(answers == c)
        if len(of_class):
            mean = margins[of_class].mean()
            found[c] = of_class[margins[of_class] >= mean]
            found[c + flat.shape[1]] = of_class[margins[of_class] < mean]
    return {key: rows for key, rows in found.items() if len(rows)}


def affinities(features, regions):
    flat = features.reshape(features.shape[0], -1)
    means = {key: flat[:, rows].mean(1) for key, rows in regions.items()}
    centre = np.mean(list(means.values()), axis=0)
    return {
        (i, j): float(np.dot(means[i] - centre, means[j] - centre) / np.linalg.norm(means[i] - centre) / np.linalg.norm(means[j] - centre))
        for i, j in itertools.combinations(sorted(means), 2)
    }


@pytest.mark.parametrize("shape", [(8, 8), (4, 6, 6)])
@pytest.mark.parametrize("classes", [2, 3])
def test_by_hand_over_the_sure_and_the_doubtful_part_of_every_class(made_trace, draw, shape, classes):
    logits, student_values, teacher_values = draw(2, classes, *shape, seed=1), draw(2, 5, *shape, seed=2), draw(2, 9, *shape, seed=3)
    value = region_affinity(
        made_trace(logits, student_values), PrecomputedKnowledge(logits, features={LAST: teacher_values}), Sample(inputs={}), grid=64
    )
    per_case = []
    for row in range(2):
        regions = regions_of(logits[row].double().numpy())
        a, b = (affinities(x[row].double().numpy(), regions) for x in (student_values, teacher_values))
        per_case.append(np.mean([(a[pair] - b[pair]) ** 2 for pair in a]))
    assert float(value) == pytest.approx(np.mean(per_case), rel=1e-3)


def test_behind_a_rectifier_there_is_still_something_to_compare(made_trace, draw):
    """Uncentred cosines of rectified features were all close to 1, so that nothing could be learnt from them."""
    logits, student_values, teacher_values = (
        draw(2, 2, 8, 8, seed=1),
        draw(2, 5, 8, 8, seed=2).relu() + 1,
        draw(2, 9, 8, 8, seed=3).relu() + 1,
    )
    value = region_affinity(
        made_trace(logits, student_values), PrecomputedKnowledge(logits, features={LAST: teacher_values}), Sample(inputs={})
    )
    assert float(value) > 0.1


def test_a_case_of_one_class_without_doubt_does_not_count(made_trace, draw):
    logits, student_values, teacher_values = draw(2, 2, 8, 8, seed=1), draw(2, 5, 8, 8, seed=2), draw(2, 5, 8, 8, seed=3)
    logits[0] = torch.tensor([4.0, -4.0])[:, None, None]
    both, second = (
        region_affinity(
            made_trace(logits[rows], student_values[rows]),
            PrecomputedKnowledge(logits[rows], features={LAST: teacher_values[rows]}),
            Sample(inputs={}),
        )
        for rows in (slice(0, 2), slice(1, 2))
    )
    assert float(both) == pytest.approx(float(second), rel=1e-5)
