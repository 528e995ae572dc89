"""A difference of cases."""

import torch

from medkd.measures.off_distribution import off_distribution


def test_it_is_the_loss_of_each_case():
    found = off_distribution(torch.tensor([0.5, float("nan")]), torch.tensor([0.75, 0.5]))
    torch.testing.assert_close(found, torch.tensor([-0.25, float("nan")], dtype=torch.double), equal_nan=True)
