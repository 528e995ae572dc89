from __future__ import annotations

import torch

from medkd.volumes.window import window_intensity


def test_the_window_is_mapped_to_minus_one_and_one_and_clipped():
    values = torch.tensor([-1000, -160, 40, 240, 3000], dtype=torch.int16)
    assert window_intensity(values, (-160.0, 240.0)).tolist() == [-1.0, -1.0, 0.0, 1.0, 1.0]
