"""Shells in mm against distances counted by hand."""

import pytest
import torch

from medkd.measures.mass_in_shell import SHELLS, mass_in_shell, masses_in_shells
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


def test_several_shells_at_once_are_each_of_them():
    generator = torch.Generator().manual_seed(1)
    values, mask = torch.randn(2, 6, 14, 20, generator=generator), torch.zeros(2, 6, 14, 20)
    mask[0, 2:4, 5:8, 3:9] = 1  # the second case has no lesion
    together = masses_in_shells(values, mask, SHELLS, spacing_mm=(3.0, 1.0, 1.0))
    for place, (inner, outer) in enumerate(SHELLS):
        alone = mass_in_shell(values, mask, spacing_mm=(3.0, 1.0, 1.0), inner=inner, outer=outer)
        torch.testing.assert_close(together[:, place], alone, rtol=0, atol=0, equal_nan=True)
    assert bool(together[1].isnan().all())
