"""Area under the ROC curve of voxels against scikit-learn, with ties and without."""

import pytest
import torch
from sklearn.metrics import roc_auc_score

from medkd.measures.map_auroc import map_auroc


@pytest.mark.parametrize("levels", [0, 5])
def test_it_is_the_area_of_scikit_learn(levels):
    generator = torch.Generator().manual_seed(levels)
    maps = torch.randn(4, 6, 7, 8, generator=generator)
    if levels:
        maps = (maps * levels / 2).round()
    masks = torch.rand(4, 6, 7, 8, generator=generator) < 0.2
    expected = [roc_auc_score(mask.flatten().numpy(), values.flatten().numpy()) for mask, values in zip(masks, maps, strict=True)]
    torch.testing.assert_close(map_auroc(maps, masks), torch.tensor(expected, dtype=torch.double), atol=1e-12, rtol=0)


def test_a_map_that_says_nothing_is_chance():
    mask = torch.zeros(1, 5, 5)
    mask[0, 2, 2:4] = 1
    assert float(map_auroc(torch.ones(1, 5, 5), mask)) == 0.5
