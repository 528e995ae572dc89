"""The class of every voxel is what arg-max says."""

from __future__ import annotations

import numpy as np
import pytest

from medkd.volumes.most_likely import most_likely


@pytest.mark.parametrize("classes", [1, 2, 3, 7])
@pytest.mark.parametrize("shape", [(4, 5, 6), (8, 9), (3,)])
def test_it_is_the_argmax_of_logits(classes, shape):
    logits = np.random.default_rng(0).normal(size=(classes, *shape)).astype(np.float32)
    before = logits.copy()
    found = most_likely(logits)
    assert found.dtype == np.uint8
    assert np.array_equal(found, logits.argmax(0))
    assert np.array_equal(logits, before)


def test_of_equal_logits_the_first_class_is_taken():
    # Few values, so that every tie occurs: of two, of three, with the largest first or last.
    logits = np.random.default_rng(0).integers(-1, 2, size=(4, 9, 9, 9)).astype(np.float32)
    assert np.array_equal(most_likely(logits), logits.argmax(0))


def test_planes_that_do_not_lie_side_by_side_are_read_alike():
    logits = np.moveaxis(np.random.default_rng(0).normal(size=(5, 6, 3)), -1, 0)[:, ::-1]
    assert np.array_equal(most_likely(logits), logits.argmax(0))
