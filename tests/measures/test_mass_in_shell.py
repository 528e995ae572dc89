"""Shells in mm against distances counted by hand."""

import pytest
import torch

from medkd.measures.mass_in_shell import SHELLS, mass_in_shell
from medkd.measures.relevance_mass_accuracy import relevance_mass_accuracy


def test_distances_are_millimetres_from_the_nearest_voxel():
    mask = torch.zeros(1, 3, 3, 40)
    mask[0, 1, 1, 0] = 1
    values = torch.zeros(1, 3, 3, 40)
    # On a row of 2 mm voxels: 4 mm, 6 mm and 40 mm away; one slice (6 mm) up.
    values[0, 1, 1, 2], values[0, 1, 1, 3], values[0, 1, 1, 20], values[0, 2, 1, 0] = 1.0, -2.0, 3.0, 4.0
    found = [float(mass_in_shell(values, mask, spacing_mm=(6.0, 2.0, 2.0), inner=a, outer=b)) for a, b in SHELLS]
    assert found == pytest.approx([0.1, 0.6, 0.3])


def test_lesion_and_shells_hold_everything():
    generator = torch.Generator().manual_seed(0)
    values, mask = torch.randn(2, 12, 14, 50, generator=generator), torch.zeros(2, 12, 14, 50)
    mask[:, 4:6, 5:8, 3:9] = 1
    parts = [mass_in_shell(values, mask, spacing_mm=(3.0, 1.0, 1.0), inner=a, outer=b) for a, b in SHELLS]
    torch.testing.assert_close(sum(parts) + relevance_mass_accuracy(values, mask), torch.ones(2, dtype=torch.double))
