"""scikit-learn is the oracle, ties included."""

import pytest
import torch
from sklearn.metrics import average_precision_score

from medkd.measures.map_auprc import map_auprc


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("space", [(12, 12), (5, 6, 7)])
def test_it_is_average_precision_over_voxels(space, levels):
    prediction = torch.randn(4, *space, generator=torch.Generator().manual_seed(0))
    prediction = prediction if levels is None else (prediction * levels).round() / levels
    mask = (torch.rand(4, *space, generator=torch.Generator().manual_seed(1)) > 0.85).to(torch.uint8)
    expected = [average_precision_score(m.flatten(), p.flatten()) for m, p in zip(mask, prediction, strict=True)]
    assert map_auprc(prediction, mask).tolist() == pytest.approx(expected)
