from __future__ import annotations

import torch

from medkd.measures.cosine_agreement import cosine_agreement


def test_it_is_the_cosine_whatever_the_scale():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(4, 5, 5, generator=generator), torch.randn(4, 5, 5, generator=generator)
    reference = torch.nn.functional.cosine_similarity(first.double().flatten(1), second.double().flatten(1))
    torch.testing.assert_close(cosine_agreement(3 * first, second), reference)
    torch.testing.assert_close(cosine_agreement(first, -first), torch.full((4,), -1.0, dtype=torch.double))


def test_a_map_of_zeros_is_undefined():
    assert bool(cosine_agreement(torch.zeros(1, 3, 3), torch.ones(1, 3, 3)).isnan().all())
