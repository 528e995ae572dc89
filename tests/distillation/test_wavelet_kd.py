from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from data_contracts import KnowledgeError
from medkd.distillation.wavelet_kd import wavelet_kd
from medkd.knowledge.interface import LAST
from medkd.trace import Sample
from tests.knowledge.precomputed import PrecomputedKnowledge


def haar_details(values, levels):
    """Return all detail coefficients of an orthonormal Haar transform, by its filters."""
    found, low = [], values
    for _ in range(levels):
        bands = []
        for kinds in itertools.product((0, 1), repeat=values.ndim):
            band = low
            for axis, high in enumerate(kinds):
                even, odd = (np.take(band, range(start, band.shape[axis], 2), axis=axis) for start in (0, 1))
                band = (even - odd if high else even + odd) / np.sqrt(2)
            bands.append((kinds, band))
        found += [band.ravel() for kinds, band in bands if any(kinds)]
        low = next(band for kinds, band in bands if not any(kinds))
    return np.concatenate(found)


@pytest.mark.parametrize(("shape", "levels"), [((8, 8), 1), ((8, 8), 2), ((4, 8, 8), 2)])
def test_by_the_filters_of_a_haar_transform(made_trace, draw, shape, levels):
    student_values, teacher_values = draw(2, 3, *shape, seed=1), draw(2, 3, *shape, seed=2)
    value = wavelet_kd(
        made_trace(features=student_values), PrecomputedKnowledge(features={LAST: teacher_values}), Sample(inputs={}), levels=levels
    )
    per_case = []
    for row in range(2):
        s, t = (np.concatenate([haar_details(c, levels) for c in x[row].double().numpy()]) for x in (student_values, teacher_values))
        per_case.append(((s - t) ** 2).sum() / (t**2).sum())
    assert float(value) == pytest.approx(np.mean(per_case), rel=1e-4)


def test_the_coarse_part_is_free(made_trace, draw):
    teacher_values = draw(2, 3, 8, 8, seed=1)
    coarse = torch.repeat_interleave(torch.repeat_interleave(draw(2, 3, 4, 4, seed=2), 2, 2), 2, 3)
    value = wavelet_kd(
        made_trace(features=teacher_values + 5 * coarse), PrecomputedKnowledge(features={LAST: teacher_values}), Sample(inputs={})
    )
    assert float(value) == pytest.approx(0, abs=1e-8)


def test_a_grid_without_any_block_is_refused(made_trace, draw):
    with pytest.raises(KnowledgeError) as caught:
        wavelet_kd(made_trace(features=draw(2, 3, 1, 1)), PrecomputedKnowledge(features={LAST: draw(2, 3, 1, 1)}), Sample(inputs={}))
    assert caught.value.code == "DETAIL_GRID"
