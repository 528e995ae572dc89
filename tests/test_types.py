"""The shape vocabulary is checked at run time: these are the shapes that each word allows."""

from __future__ import annotations

import pytest
import torch

from medkd import types


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "fits"),
    [
        ("Images", (2, 1, 8, 8), torch.float32, True),
        ("Images", (2, 1, 4, 8, 8), torch.float32, True),
        ("Images", (2,), torch.float32, False),
        ("Images", (2, 1, 8, 8), torch.uint8, False),
        ("Logits", (2, 3), torch.float32, True),
        ("Logits", (2, 3, 8, 8), torch.bfloat16, True),
        ("AttributionMap", (2, 8, 8), torch.float32, True),
        ("AttributionMap", (), torch.float32, False),
        ("Scalar", (), torch.float32, True),
        ("Scalar", (1,), torch.float32, False),
        ("FeatureMap", (2, 6, 4, 4), torch.float32, True),
        ("Scores", (4,), torch.float32, True),
        ("Scores", (4, 3), torch.int64, False),
    ],
)
def test_a_word_allows_its_shape_and_kind_of_number(name, shape, dtype, fits):
    assert isinstance(torch.zeros(shape, dtype=dtype), getattr(types, name)) is fits
