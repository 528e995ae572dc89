"""A network that looks at one voxel beside the lesion."""

import torch

from medkd.measures._perturb import Perturbation
from medkd.measures.deletion_outside import deletion_outside

MASK = torch.zeros(1, 8, 8)
MASK[0, 2:4, 2:4] = 1


def game(*places):
    image = torch.ones(1, 1, 8, 8)
    return Perturbation(
        lambda changed, _: torch.stack([changed[:, 0, r, c] for r, c in places]).mean(0), image, torch.zeros_like(image), mask=MASK
    )


def pointing_at(row, column):
    values = torch.zeros(1, 8, 8)
    values[0, row, column] = 1.0
    return values


def test_a_map_that_finds_the_context_scores_low():
    assert float(deletion_outside(pointing_at(6, 6), game((6, 6)))) < 0.05
    assert float(deletion_outside(pointing_at(0, 0), game((7, 7)))) > 0.9


def test_what_lies_in_the_lesion_is_never_deleted():
    assert float(deletion_outside(pointing_at(2, 2), game((2, 2), (3, 3)))) == 1.0


def test_without_a_lesion_it_is_undefined():
    perturbation = Perturbation(lambda changed, _: changed.flatten(1).mean(1), torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    assert bool(deletion_outside(pointing_at(1, 1), perturbation).isnan().all())
