from __future__ import annotations

import numpy as np
import torch

from data_contracts import Geometry
from medkd.inference.components import find_components
from medkd.inference.lesions import find_lesions

AFFINE = ((0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0), (2.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
WHERE = Geometry(shape=(6, 12, 12), affine_lps_mm=AFFINE, spacing_mm=(2.0, 1.0, 1.0), residual_mm=0)


def test_lesions_are_the_components_as_tensors():
    mask = (np.random.default_rng(0).random(WHERE.shape) < 0.15).astype(np.uint8)
    wanted = find_components(mask, WHERE, class_name="node", smallest=3)
    found = find_lesions(torch.from_numpy(mask), WHERE, class_name="node", smallest=3)
    assert len(wanted) > 1
    assert [lesion for lesion, _ in found] == [lesion for lesion, _ in wanted]
    for (_, own), (_, array) in zip(found, wanted, strict=True):
        assert own.dtype == torch.uint8
        assert np.array_equal(own.numpy(), array)
