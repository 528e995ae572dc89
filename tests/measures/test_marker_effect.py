from __future__ import annotations

import torch

from medkd.measures.marker_effect import marker_effect


def test_it_is_the_absolute_change_per_pair():
    effect = marker_effect(torch.tensor([0.9, 0.2, 0.5]), torch.tensor([0.1, 0.6, 0.5]))
    torch.testing.assert_close(effect, torch.tensor([0.8, 0.4, 0.0], dtype=torch.double), atol=1e-7, rtol=0)
