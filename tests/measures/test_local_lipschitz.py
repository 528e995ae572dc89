"""A map that is linear in the image has the steepness of its matrix."""

import pytest
import torch

from medkd.measures._neighbours import Neighbours
from medkd.measures.local_lipschitz import local_lipschitz


def test_a_linear_map_is_as_steep_as_its_matrix():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(9, 9, generator=generator, dtype=torch.double)
    _, values, right = torch.linalg.svd(matrix)
    image = torch.randn(9, generator=generator, dtype=torch.double)
    changes = torch.cat([0.1 * torch.randn(20, 9, generator=generator, dtype=torch.double), 0.1 * right[:1]])
    own = matrix @ image
    maps = ((image + changes) @ matrix.T).view(1, 21, 3, 3)
    found = local_lipschitz(own.view(1, 3, 3), Neighbours(maps, changes.norm(dim=1)[None]))
    assert float(found) == pytest.approx(float(values[0] / own.norm()), rel=1e-9)
